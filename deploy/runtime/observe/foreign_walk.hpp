#pragma once
/// \file
/// Processes that came into an instance from outside: by nsenter, or by the runtime's own exec.

#include <cstdint>
#include <map>
#include <set>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "common/base/clock.hpp"
#include "deploy/plan/model/model.hpp"
#include "deploy/runtime/host/instance_files.hpp"
#include "deploy/runtime/record/record.hpp"

namespace holdfast::deploy::runtime {

/// A process inside the namespaces of an instance that is no descendant of its first process.
struct ForeignProcess {
  ProcessId process;
  std::string name;  ///< printable
  std::uint32_t uid = 0;
};

/// Of one look at /proc, whatever runs there: containers may have as many processes as they want.
struct ForeignBounds {
  std::size_t processes = 20'000;  ///< looked at, and as many to find from whom they descend
  Milliseconds time{250};          ///< for the one, and again for the other
};

/// Looks over the processes of the host, a part of them at a time where there are many: each look
/// goes on where the last one ended. About 10 µs a process. What this agent runs inside (probes) is
/// not foreign. Not thread safe; not for the engine thread.
class ForeignWalk {
 public:
  explicit ForeignWalk(const Clock& clock, ForeignBounds bounds = {})
      : clock_(clock), bounds_(bounds) {}

  using Inits = std::map<plan::InstanceId, ProcessId>;
  using Found = std::map<plan::InstanceId, std::vector<ForeignProcess>>;

  /// `inits`: the first process of each instance; `supervisors`: processes that are looked at by
  /// others. What earlier looks found in parts of which this one says nothing is repeated as long
  /// as it lives.
  [[nodiscard]] Found look(const Inits& inits, const std::set<pid_t>& supervisors,
                           const std::stop_token& stop);
  /// Looks at a part after the other, until all processes were looked at or `deadline` has come: at
  /// one part at least, and it may be over by the time of one.
  [[nodiscard]] Found look_at_all(const Inits& inits, BootTime deadline);
  /// The last look reached the end of the list.
  [[nodiscard]] bool reached_end() const { return at_ == 0; }
  /// The last look was of all processes.
  [[nodiscard]] bool saw_all() const { return began_at_ == 0 && at_ == 0; }
  [[nodiscard]] const ForeignBounds& bounds() const { return bounds_; }

 private:
  struct Known {
    plan::InstanceId instance;
    ForeignProcess process;
  };
  const Clock& clock_;
  const ForeignBounds bounds_;
  long began_at_ = 0;  ///< place in /proc where the last look began; 0: at the first process
  long at_ = 0;        ///< where the next one begins
  pid_t next_ = 0;     ///< no process below was left out since the last beginning
  std::map<pid_t, Known> known_;
};

}  // namespace holdfast::deploy::runtime
