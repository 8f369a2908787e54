#pragma once
#include <chrono>

#include "common/base/clock.hpp"

namespace holdfast::test {

/// Stands still until it is told otherwise.
class FakeClock final : public Clock {
 public:
  [[nodiscard]] WallTime wall() const override { return wall_; }
  [[nodiscard]] BootTime boot() const override { return boot_; }
  /// Sets the wall clock, as an administrator does.
  void set_wall(WallTime to) { wall_ = to; }
  void advance(BootClock::duration by) {
    boot_ += by;
    wall_ += std::chrono::duration_cast<Milliseconds>(by);
  }

 private:
  BootTime boot_{std::chrono::hours{1}};
  WallTime wall_{std::chrono::hours{24 * 365 * 55}};
};

}  // namespace holdfast::test
