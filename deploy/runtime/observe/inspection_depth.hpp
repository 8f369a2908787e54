#pragma once
/// \file
/// The words of an observation: how closely it looks, and what a watcher saw.

#include <cstdint>

namespace holdfast::deploy::runtime {

/// How closely an observation looks at what runs. A closer look at an instance compares its limits,
/// network, mounts, secrets and writes with what was declared; what it found is remembered. It is
/// due for an instance that was just started and for one of which a watcher reported a change.
enum class InspectionDepth : std::uint8_t {
  liveness,  ///< records and processes only; takes no closer look off whom it is due to
  due,       ///< also the closer looks that are due
  sampled,   ///< also some instances more, by turns, and foreign processes
  full,      ///< a closer look at every instance
};

/// What a watcher saw of an instance.
enum class Change : std::uint8_t {
  exit,    ///< its process or its conmon ended
  limits,  ///< somebody wrote to its control group, or the kernel killed for memory
  inside,  ///< its mounts or the files of its secrets changed
};

}  // namespace holdfast::deploy::runtime
