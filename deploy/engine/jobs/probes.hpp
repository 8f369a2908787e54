#pragma once
#include <map>
#include <string>
#include <utility>

#include "deploy/engine/state/parts.hpp"
#include "deploy/probe/prober.hpp"

namespace holdfast::deploy::engine {

/// Health of every instance, as probes tell it. Engine thread only.
class Probes {
 public:
  explicit Probes(Parts& parts) : parts_(parts), began_(parts.ports.clock.boot()) {}

  /// Health of the process that `seen` shows: of another process than before, nothing is known.
  [[nodiscard]] const plan::Health& of(const plan::ObservedInstance& seen);
  /// Forgets all instances but those observed.
  void keep_only(const std::map<plan::InstanceId, plan::InstanceView>& observed);
  /// Puts what is known now into what was observed before.
  void refresh(std::map<plan::InstanceId, plan::InstanceView>& observed) const;
  [[nodiscard]] bool in_flight(const plan::InstanceId& id) const;

  /// Asks one now, on a thread for probes. Nothing when its document or its health rule is unknown.
  void start(const plan::ProbeNow& probe);
  /// Until then a failure says nothing of what was asked: the agent did not run.
  void forgive_until(BootTime time) { forgiving_until_ = time; }
  /// Since the last call an answer asked for a pass, though not for a full observation.
  [[nodiscard]] bool take_wake() { return std::exchange(wake_, false); }

 private:
  struct Asked {
    plan::InstanceId id;
    plan::ServiceName service;
    proto::HealthRule rule;
    plan::Address address = 0;
    std::uint32_t starts = 0;
    BootTime started{};
    Milliseconds grace{0};  ///< of its start
  };
  [[nodiscard]] probe::Outcome ask(const Asked& asked, const std::stop_token& stop);
  [[nodiscard]] probe::Outcome ask_exec(const Asked& asked, const proto::ExecProbe& exec,
                                        const std::stop_token& stop);
  [[nodiscard]] probe::Outcome read_sd_notify(const Asked& asked);
  void answered(const Asked& asked, const probe::Outcome& outcome);
  void judge(const Asked& asked, const probe::Outcome& outcome, plan::Health& health);

  Parts& parts_;
  BootTime began_;  ///< start of the agent
  std::map<plan::InstanceId, plan::Health> health_;
  BootTime forgiving_until_{};
  bool wake_ = false;
};

}  // namespace holdfast::deploy::engine
