#pragma once
/// \file
/// What is really there: records, run states, exit files, /proc and control groups. No process is
/// started for it.

#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "deploy/runtime/host/host.hpp"
#include "deploy/runtime/observe/background_inspection.hpp"
#include "deploy/runtime/observe/foreign_walk.hpp"
#include "deploy/runtime/observe/inspection_depth.hpp"
#include "deploy/runtime/record/record.hpp"

namespace holdfast::deploy::runtime {

/// Thread safe. Parsed records are kept by inode and time of the file: they are replaced by rename
/// only.
class Observer {
 public:
  explicit Observer(const Host& host) : host_(host), walk_(host.clock) {}

  /// Tells of which instance it is known that its process and its conmon run; of others /proc is
  /// asked.
  using KnownToRun = std::function<bool(const plan::InstanceId&, const RunState&)>;

  /// `busy`: instances that a call of this agent works on now; a half made one is `creating` then,
  /// `broken` else.
  [[nodiscard]] Result<std::vector<ObservedInstance>> observe(
      const std::set<plan::InstanceId>& busy, InspectionDepth depth,
      const KnownToRun& known_to_run);

  /// `changed` is called, on a thread of its own, when the inspection of what an instance wrote, of
  /// its secrets or configs, or of the processes of the host, has found something else than the one
  /// before.
  void watch_background(const BackgroundInspection::Changed& changed) {
    processes_.on_change(changed);
    writes_.on_change(changed);
    secrets_.on_change(changed);
    configs_.on_change(changed);
  }

  /// A closer look at this one is due.
  void suspect(const plan::InstanceId& id);

 private:
  /// Which content of a file was parsed: writers replace files by rename, so inode and time change
  /// together.
  struct Version {
    std::uint64_t inode = 0;
    std::int64_t time_ns = 0;
    bool operator==(const Version&) const = default;
  };
  template <class Value>
  using Cache = std::map<plan::InstanceId, std::pair<Version, Value>>;

  template <class Value, class Read>
  [[nodiscard]] Result<Value> cached(Cache<Value>& cache, const plan::InstanceId& id,
                                     const std::string& path, Read read);
  [[nodiscard]] Result<InstanceRecord> record(const plan::InstanceId& id);
  [[nodiscard]] Result<RunState> run_state(const plan::InstanceId& id);
  [[nodiscard]] ObservedInstance observe_one(const plan::InstanceId& id, bool in_progress,
                                             const KnownToRun& known_to_run);
  void add_state(ObservedInstance& seen, bool in_progress, const KnownToRun& known_to_run);
  void look_closely(std::vector<ObservedInstance>& all, InspectionDepth depth);
  struct Choice {
    std::set<plan::InstanceId> closer;
    bool entered = false;  ///< foreign processes are looked for
  };
  [[nodiscard]] Choice choose(const std::vector<ObservedInstance>& running, InspectionDepth depth);
  void inspect_closely(const ObservedInstance& seen);
  void ask_for_foreign(const std::vector<ObservedInstance>& running);
  /// What the processes of one look were started for.
  struct Entered {
    ForeignWalk::Inits inits;
    std::map<plan::InstanceId, std::uint32_t> starts;
    std::set<pid_t> supervisors;
  };
  [[nodiscard]] std::string find_foreign(const Entered& entered, const std::stop_token& stop);

  const Host& host_;
  std::mutex mutex_;
  Cache<InstanceRecord> records_;
  Cache<RunState> run_states_;
  /// What the last closer look found, of which start of the process.
  struct Found {
    std::uint32_t starts = 0;
    std::vector<plan::Deviation> deviations;
    std::vector<plan::Deviation> foreign;
    std::uint64_t oom_kills = 0;
  };
  std::map<plan::InstanceId, Found> found_;
  std::set<plan::InstanceId> suspects_;
  ForeignWalk walk_;  ///< by the thread of `processes_` only
  bool said_many_ = false;
  BackgroundInspection processes_{"process-watch"};
  BackgroundInspection writes_{"writes-watch"};
  BackgroundInspection secrets_{"secrets-watch"};
  BackgroundInspection configs_{"configs-watch"};
  plan::InstanceId looked_at_;  ///< the last one whose turn it was
};

}  // namespace holdfast::deploy::runtime
