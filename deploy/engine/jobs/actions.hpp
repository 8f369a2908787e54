#pragma once
#include <functional>
#include <string>

#include "deploy/engine/jobs/drains.hpp"
#include "deploy/engine/jobs/drift_log.hpp"
#include "deploy/engine/jobs/endings.hpp"
#include "deploy/engine/jobs/probes.hpp"
#include "deploy/engine/jobs/pulls.hpp"
#include "deploy/engine/state/parts.hpp"

namespace holdfast::deploy::engine {

/// How a decision becomes effect: at once where the kernel answers in microseconds, else as a job.
/// Engine thread only.
class Actions {
 public:
  struct Owners {
    Pulls& pulls;
    Probes& probes;
    Drains& drains;
    DriftLog& drift;
    Endings& endings;
  };
  Actions(Parts& parts, Owners owners) : parts_(parts), owners_(owners) {}

  /// True when the action is done already and the world must be looked at again.
  [[nodiscard]] bool start(const plan::Action& action);
  /// What a rollout thaws is asked at once: the next look at the host would ask it too, but later.
  void probe_thawed(const plan::Thaw& thaw, const plan::Progress& next);
  /// Tells the containers each other's addresses, where those have changed: a job writes them.
  void publish_hosts();

 private:
  void start_create(const plan::Create& create);
  struct Change {
    plan::ServiceName service;
    plan::InstanceId id;
    std::string what;                 ///< "create", "restart", "expel"
    plan::GenerationId generation{};  ///< of a create
  };
  void run_change(const Change& change, std::function<Status(const std::stop_token&)> work);
  void changed(const Change& change, const Status& done);
  [[nodiscard]] bool now(const char* what, const Status& status);
  [[nodiscard]] runtime::HostsTable hosts() const;

  Parts& parts_;
  Owners owners_;
  runtime::HostsTable published_hosts_;
  bool publishing_hosts_ = false;
};

}  // namespace holdfast::deploy::engine
