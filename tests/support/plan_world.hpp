#pragma once
/// \file
/// A simulated host for the planner: applies actions over simulated time and checks promises after
/// each of them.

#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "deploy/plan/plan.hpp"

namespace holdfast::test {

/// A service as tests want it: everything that matters in two words.
struct ServiceShape {
  std::string version = "v1";  ///< the run hash and the image follow it
  std::string policy = "p1";
  std::uint16_t port = 0;  ///< published; 0: none
  bool replace = false;
  bool probed = true;
  std::vector<std::string> depends_on;
};

[[nodiscard]] std::shared_ptr<const proto::Deployment> make_deployment(
    const std::map<std::string, ServiceShape>& services);

/// A hook as tests want it. Its exit code is `PlanWorld::hook_codes` of its name, 0 without.
[[nodiscard]] proto::Hook make_hook(const std::string& name,
                                    Milliseconds deadline = Milliseconds{10'000});

class PlanWorld {
 public:
  explicit PlanWorld(std::uint32_t seed) : random_(seed) {}

  /// Begins a rollout of this deployment as the next generation.
  void apply(std::shared_ptr<const proto::Deployment> deployment);
  /// Makes the earlier generation current again.
  void rollback_to(std::uint64_t generation);

  /// Steps until nothing is left to do, or `limit` steps have passed. True when converged.
  bool settle(int limit = 4000);
  /// One decision, its actions, and the passing of time until something is due.
  deploy::plan::Decision step();

  /// Versions whose instances never answer probes / exit soon after their start.
  std::set<std::string> sick;
  std::set<std::string> crashing;
  /// Versions whose processes end soon after their start, with which code.
  std::map<std::string, int> ends;
  /// How long a stop takes.
  Milliseconds stop_takes{0};
  /// Every stop that was begun.
  std::vector<deploy::plan::Stop> stops;
  /// How hooks end, by name; kNeverEnds: not at all.
  std::map<std::string, int> hook_codes;
  static constexpr int kNeverEnds = -1;
  /// Names of the hooks that were started, in order.
  std::vector<std::string> hooks_started;
  std::vector<deploy::plan::Note> notes;
  /// What an agent that was killed and started again knows.
  void restart_agent();
  /// Broken promises, in words.
  std::vector<std::string> violations;

  deploy::plan::Progress progress;
  deploy::plan::Observed observed;
  std::map<deploy::plan::GenerationId, std::shared_ptr<const proto::Deployment>> generations;
  std::vector<deploy::plan::Ending> endings;
  std::set<deploy::plan::GenerationId> quarantined;
  BootTime now{std::chrono::hours{1}};
  std::map<deploy::plan::InstanceId, int> touched;  ///< changing actions per instance

  [[nodiscard]] std::string version_serving(const std::string& service) const;
  void kill(const std::string& service, int code);

 private:
  struct Job {
    BootTime done;
    deploy::plan::ServiceName service;  ///< that it keeps busy
    deploy::plan::Action action;
  };
  void start(const deploy::plan::Action& action);
  void complete(const deploy::plan::Action& action);
  void finish_jobs();
  void check();
  void check_hooks();
  void refresh_documents();
  [[nodiscard]] std::string version_of(const deploy::plan::InstanceId& id) const;

  std::mt19937 random_;
  std::vector<Job> jobs_;
  std::map<deploy::plan::InstanceId, std::string> versions_;
  std::uint32_t next_address_ = 0x0A590002;
};

}  // namespace holdfast::test
