#pragma once
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/clock.hpp"

namespace holdfast {

/// The rules of one time zone, from the text of a compiled zone file (TZif, RFC 8536). Pure.
class TimeZone {
 public:
  /// UTC.
  TimeZone() = default;
  /// Reads the 64-bit part of a file of version 2 or later. After its last change of the offset
  /// (2037 in the files of Debian) the last offset stays. Errors: usage.
  [[nodiscard]] static Result<TimeZone> parse(std::string_view tzif);

  /// Local time minus UTC.
  [[nodiscard]] std::chrono::seconds offset_at(WallTime instant) const;
  /// Local time as if it were UTC.
  [[nodiscard]] WallTime local(WallTime instant) const { return instant + offset_at(instant); }

  enum class Pick : std::uint8_t { first, last };
  /// The instant at which clocks show `local`. Where they show it twice: the first or the last;
  /// where they skip it: the instant of the skip.
  [[nodiscard]] WallTime instant(WallTime local, Pick pick) const;

 private:
  std::chrono::seconds first_{0};
  std::vector<std::pair<std::chrono::sys_seconds, std::chrono::seconds>>
      changes_;  ///< sorted; the offset from then on
};

}  // namespace holdfast
