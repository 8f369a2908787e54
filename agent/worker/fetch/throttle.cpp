#include "agent/worker/fetch/throttle.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "common/os/process.hpp"
#include "proto/worker/fetch.hpp"

namespace holdfast::agent::worker::fetch {

using std::chrono::microseconds;

Result<Throttle> Throttle::open(int fd, std::uint64_t bytes_per_second, const Clock& clock) {
  if (bytes_per_second == 0) return Throttle{nullptr, 0, clock};
  void* memory =
      mmap(nullptr, proto::worker::kBandwidthBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return errno_error(errno, "map the memory that limits bandwidth");
  static_assert(std::atomic<std::int64_t>::is_always_lock_free);
  return Throttle{static_cast<std::atomic<std::int64_t>*>(memory), bytes_per_second, clock};
}

void Throttle::take(std::size_t bytes) {
  if (rate_ == 0) return;
  // What was not used is not saved up but for this long, so that waking late costs nothing.
  constexpr std::int64_t kBurst = 100'000;
  constexpr std::int64_t kLongest = 60'000'000;  // whatever another child writes there
  constexpr std::uint64_t kMicroseconds = 1'000'000;
  const auto cost = static_cast<std::int64_t>(bytes * kMicroseconds / rate_);
  const std::int64_t now =
      std::chrono::duration_cast<microseconds>(clock_.boot().time_since_epoch()).count();
  std::int64_t before = taken_until_->load();
  std::int64_t after = 0;
  do {
    after = std::clamp(before, now - kBurst, now + kLongest) + cost;
  } while (!taken_until_->compare_exchange_weak(before, after));
  if (after > now) (void)os::sleep_until(clock_.boot() + microseconds{after - now}, {});
}

}  // namespace holdfast::agent::worker::fetch
