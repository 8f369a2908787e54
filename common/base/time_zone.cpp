#include "common/base/time_zone.hpp"

#include <algorithm>

namespace holdfast {
namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;

constexpr std::size_t kHeader = 44;
constexpr std::uint32_t kMostChanges = 10'000;
/// No zone was ever further from UTC.
constexpr seconds kFurthest{26 * 3'600};
/// Years -1199 to 5138: far from the limits of milliseconds.
constexpr std::int64_t kEarliest = -100'000'000'000;
constexpr std::int64_t kLatest = 100'000'000'000;

std::int64_t big_endian(std::string_view bytes) {
  std::uint64_t value = (static_cast<unsigned char>(bytes.front()) & 0x80U) != 0 ? ~0ULL : 0;
  for (const char c : bytes) value = value << 8U | static_cast<unsigned char>(c);
  return static_cast<std::int64_t>(value);
}

struct Counts {
  std::uint32_t utc = 0;
  std::uint32_t standard = 0;
  std::uint32_t leaps = 0;
  std::uint32_t changes = 0;
  std::uint32_t types = 0;
  std::uint32_t letters = 0;

  [[nodiscard]] std::size_t size(std::size_t time_bytes) const {
    return changes * (time_bytes + 1) + types * 6ULL + letters + leaps * (time_bytes + 4) +
           standard + utc;
  }
};

Error malformed(const char* what) { return Error{Errc::usage, what}.in("time zone file"); }

Result<Counts> read_counts(std::string_view header) {
  if (header.size() < kHeader || header.substr(0, 4) != "TZif")
    return malformed("it does not begin with TZif");
  if (header[4] < '2') return malformed("version 1 is too old");
  const auto at = [&](std::size_t index) {
    return static_cast<std::uint32_t>(big_endian(header.substr(20 + index * 4, 4)));
  };
  const Counts counts{at(0), at(1), at(2), at(3), at(4), at(5)};
  for (const auto each :
       {counts.utc, counts.standard, counts.leaps, counts.changes, counts.types, counts.letters}) {
    if (each > kMostChanges) return malformed("it is too large");
  }
  return counts;
}

}  // namespace

Result<TimeZone> TimeZone::parse(std::string_view tzif) {
  HF_ASSIGN(const auto old, read_counts(tzif));
  const auto skip = kHeader + old.size(4);
  if (tzif.size() < skip) return malformed("it is cut off");
  tzif.remove_prefix(skip);
  HF_ASSIGN(const auto counts, read_counts(tzif));
  tzif.remove_prefix(kHeader);
  if (tzif.size() < counts.size(8) || counts.types == 0) return malformed("it is cut off");
  const auto indexes = tzif.substr(counts.changes * 8ULL, counts.changes);
  const auto types = tzif.substr(counts.changes * 9ULL, counts.types * 6ULL);
  const auto offset = [&](std::size_t type) {
    return seconds{big_endian(types.substr(type * 6, 4))};
  };
  TimeZone zone;
  zone.first_ = offset(0);
  for (std::size_t i = 0; i < counts.changes; ++i) {
    const auto type = static_cast<unsigned char>(indexes[i]);
    if (type >= counts.types) return malformed("a change names a type that is not there");
    if (offset(type) > kFurthest || offset(type) < -kFurthest)
      return malformed("an offset is out of range");
    const auto at = big_endian(tzif.substr(i * 8, 8));
    if (at > kLatest) break;
    if (at < kEarliest) {  // zic writes -2^59 for the beginning of time
      zone.first_ = offset(type);
      continue;
    }
    if (!zone.changes_.empty() && sys_seconds{seconds{at}} <= zone.changes_.back().first)
      return malformed("its changes are out of order");
    zone.changes_.emplace_back(sys_seconds{seconds{at}}, offset(type));
  }
  return zone;
}

seconds TimeZone::offset_at(WallTime instant) const {
  const auto after =
      std::upper_bound(changes_.begin(), changes_.end(), instant,
                       [](WallTime at, const auto& change) { return at < change.first; });
  return after == changes_.begin() ? first_ : std::prev(after)->second;
}

WallTime TimeZone::instant(WallTime local, Pick pick) const {
  // Whatever the offset was a day before and is a day after are the only candidates.
  const auto before = offset_at(local - kFurthest);
  const auto after = offset_at(local + kFurthest);
  const WallTime early = local - std::max(before, after);
  const WallTime late = local - std::min(before, after);
  const bool early_fits = this->local(early) == local;
  const bool late_fits = this->local(late) == local;
  if (early_fits && (pick == Pick::first || !late_fits)) return early;
  if (late_fits) return late;
  // Skipped: the change lies between the two.
  const auto change =
      std::upper_bound(changes_.begin(), changes_.end(), early,
                       [](WallTime at, const auto& each) { return at < each.first; });
  return change == changes_.end() ? late : std::min<WallTime>(change->first, late);
}

}  // namespace holdfast
