#pragma once
/// \file
/// What is really there: records, run states, exit files, /proc and control groups. No process is
/// started for it.

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "deploy/runtime/host.hpp"
#include "deploy/runtime/instances.hpp"
#include "deploy/runtime/record.hpp"

namespace holdfast::deploy::runtime {

/// Thread safe. Parsed records are kept by inode and time of the file: they are replaced by rename
/// only.
class Observer {
 public:
  explicit Observer(const Host& host) : host_(host) {}

  /// `busy`: instances that a call of this agent works on now; a half made one is `creating` then,
  /// `broken` else.
  [[nodiscard]] Result<std::vector<ObservedInstance>> observe(
      const std::set<plan::InstanceId>& busy, Look look);

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
  [[nodiscard]] ObservedInstance observe_one(const plan::InstanceId& id, bool in_progress);
  void add_state(ObservedInstance& seen, const InstanceRecord& record, bool in_progress);
  void add_deviations(ObservedInstance& seen, const InstanceRecord& record,
                      const RunState& run) const;
  void look_closely(std::vector<ObservedInstance>& all, Look look);

  const Host& host_;
  std::mutex mutex_;
  Cache<InstanceRecord> records_;
  Cache<RunState> run_states_;
  /// What the last thorough look found, of which start of the process.
  std::map<plan::InstanceId, std::pair<std::uint32_t, std::vector<plan::Deviation>>> inspected_;
};

}  // namespace holdfast::deploy::runtime
