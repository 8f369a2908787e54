#pragma once
/// \file
/// Time as an argument. Nothing outside common/base and common/os asks the system for the time.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.hpp"

namespace holdfast {

using Milliseconds = std::chrono::milliseconds;

/// Wall-clock instant, for people and the ledger; may jump.
using WallTime = std::chrono::sys_time<std::chrono::milliseconds>;

/// CLOCK_BOOTTIME as a chrono clock: never jumps, counts suspended time. For deadlines and
/// intervals.
struct BootClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<BootClock>;
  static constexpr bool is_steady = true;
};
using BootTime = BootClock::time_point;

/// Source of time. Thread safe.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual WallTime wall() const = 0;
  [[nodiscard]] virtual BootTime boot() const = 0;
};

/// The host's clocks.
class SystemClock final : public Clock {
 public:
  [[nodiscard]] WallTime wall() const override;
  [[nodiscard]] BootTime boot() const override;
};

/// "2026-11-23T09:24:15.123Z" (RFC 3339, UTC, milliseconds).
[[nodiscard]] std::string to_rfc3339(WallTime time);
/// Inverse of `to_rfc3339`; accepts 0 to 9 fraction digits, 'Z' or "+hh:mm". Errors: Errc::usage.
[[nodiscard]] Result<WallTime> parse_rfc3339(std::string_view text);

}  // namespace holdfast
