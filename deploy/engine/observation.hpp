#pragma once
#include "deploy/engine/commands/standby.hpp"
#include "deploy/engine/jobs/drains.hpp"
#include "deploy/engine/jobs/drift_log.hpp"
#include "deploy/engine/jobs/endings.hpp"
#include "deploy/engine/jobs/probes.hpp"
#include "deploy/engine/jobs/pulls.hpp"
#include "deploy/engine/state/parts.hpp"

namespace holdfast::deploy::engine {

enum class Freshness : std::uint8_t {
  remembered,  ///< instances and routes as they were seen last, with the health known since
  fresh,       ///< looked at again
};

/// Puts what is so on the host into `Parts::observed`. Engine thread only.
class Observation {
 public:
  struct Owners {
    Pulls& pulls;
    Probes& probes;
    Drains& drains;
    DriftLog& drift;
    Endings& endings;
    Standby& standby;
  };
  Observation(Parts& parts, Owners owners) : parts_(parts), owners_(owners) {}

  void observe(Freshness freshness);

 private:
  void observe_instances();
  void hold_back_end(plan::ObservedInstance& seen);
  void count_exits(const plan::ObservedInstance& now, const plan::ObservedInstance* before);
  void forget_job_failures();

  Parts& parts_;
  Owners owners_;
};

}  // namespace holdfast::deploy::engine
