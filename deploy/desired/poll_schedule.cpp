#include "deploy/desired/poll_schedule.hpp"

#include <algorithm>
#include <charconv>

#include "common/crypto/sha256.hpp"

namespace holdfast::deploy::desired {
namespace {

constexpr Milliseconds kLongestBackoff{std::chrono::minutes{15}};
constexpr unsigned kMostDoublings = 20;

/// The first 60 bits of a digest: evenly spread.
std::uint64_t number_of(std::string_view host) {
  const auto hex = crypto::sha256_hex(host).substr(0, 15);
  std::uint64_t number = 0;
  std::from_chars(hex.data(), hex.data() + hex.size(), number, 16);
  return number;
}

}  // namespace

PollSchedule::PollSchedule(Milliseconds interval, std::string_view host)
    : interval_(interval), host_(number_of(host)) {}

Milliseconds PollSchedule::until_next(WallTime now, unsigned failures) const {
  const auto longest = std::max(interval_, kLongestBackoff);
  const Milliseconds wanted = interval_ * (1L << std::min(failures, kMostDoublings));
  const auto period = std::min(longest, wanted);
  const auto phase = static_cast<std::int64_t>(host_ % static_cast<std::uint64_t>(period.count()));
  const auto into = now.time_since_epoch().count() % period.count();
  const auto wait = (phase - into + 2 * period.count()) % period.count();
  return wait > 0 ? Milliseconds{wait} : period;
}

}  // namespace holdfast::deploy::desired
