#include "deploy/image/upkeep/scrub_schedule.hpp"

#include <algorithm>

namespace holdfast::deploy::image {
namespace {

constexpr std::chrono::minutes kLookAgain{10};
constexpr std::chrono::seconds kFirstRepair{30};
constexpr std::uint32_t kMostDoublings = 5;

}  // namespace

ScrubSchedule::ScrubSchedule(Milliseconds every, BootTime now) {
  // What the agent starts with comes first.
  const Milliseconds soon = every > Milliseconds{0} ? every / 4 : kFirstRepair;
  next_ = now + std::min<Milliseconds>(kFirstRepair, soon);
}

void ScrubSchedule::ended(Round round, BootTime now) {
  if (round.found_damage || round.repaired) failed_repairs_ = 0;
  std::chrono::seconds wait = kLookAgain;
  if (round.found_damage) {
    wait = std::chrono::seconds{0};  // to repair it
  } else if (!round.repaired) {
    wait = std::min(wait, kFirstRepair * (1U << std::min(failed_repairs_++, kMostDoublings)));
  }
  next_ = now + wait;
}

void ScrubSchedule::damage_found() {
  next_ = {};
  failed_repairs_ = 0;
}

}  // namespace holdfast::deploy::image
