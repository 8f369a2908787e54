#pragma once
#include <cstdint>

#include "common/base/clock.hpp"

namespace holdfast::deploy::image {

/// When the store is looked at without being asked: soon after the start, then every ten minutes;
/// at once where damage was found, to repair it; again after 30 s, doubling, where a repair failed.
/// A value; not thread safe.
class ScrubSchedule {
 public:
  /// `every`: how often each layer is hashed; 0: never, only repairs are done.
  ScrubSchedule(Milliseconds every, BootTime now);

  [[nodiscard]] bool due(BootTime now) const { return now >= next_; }

  /// How a round went.
  struct Round {
    bool found_damage = false;
    bool repaired = false;  ///< or there was nothing to repair
  };
  void ended(Round round, BootTime now);
  /// Somebody else found damage: a round is due at once, and repairs are tried as for the first
  /// time.
  void damage_found();

 private:
  BootTime next_;
  std::uint32_t failed_repairs_ = 0;
};

}  // namespace holdfast::deploy::image
