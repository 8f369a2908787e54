#pragma once
/// \file
/// What proves why an instance failed, read from its output before the failure is recorded.

#include <cstdint>
#include <functional>
#include <map>
#include <set>

#include "deploy/engine/state/attention.hpp"
#include "deploy/engine/state/ports.hpp"
#include "deploy/plan/model/state.hpp"

namespace holdfast::deploy::engine {

/// What instances wrote last, read by jobs: their files are others', may be long, and may lie on a
/// slow disk. What is decided about how one ended waits for it for half a second at most; so does
/// the whole decision that notes a failure of one that lives. Holds at most a MiB of text: beyond
/// that the longest goes first. Not thread safe.
class Evidence {
 public:
  using Read = std::function<runtime::LastWords(const plan::InstanceId&)>;

  /// All outlive it. `read` is called on job threads; empty: there is never anything to wait for.
  Evidence(Read read, const Clock& clock, Jobs& jobs, Attention& attention)
      : read_(std::move(read)), clock_(clock), jobs_(jobs), attention_(attention) {}

  /// Whether it may be decided on how this one ended: what it wrote last is here, or was waited for
  /// long enough. Else a job reads it, and the pass after that decides.
  [[nodiscard]] bool is_in(const plan::ObservedInstance& ended);
  /// The same of one that may still run: what was read within the last second counts.
  [[nodiscard]] bool is_in(const plan::InstanceId& id);
  /// Empty where nothing is known.
  [[nodiscard]] const runtime::LastWords& of(const plan::InstanceId& id) const;

  /// Drops what no decision will ask for any more. While something is under way nothing else is
  /// dropped than what a process that was started again has wiped out: how it ends will name who
  /// failed.
  void keep_only(const std::map<plan::InstanceId, plan::InstanceView>& instances, bool under_way);

  /// True when somebody was waited for long enough: then a pass decides without.
  [[nodiscard]] bool expire();
  /// When that is next; `BootTime::max` for never.
  [[nodiscard]] BootTime wake_at() const;

 private:
  struct Entry {
    std::uint64_t number = 0;  ///< of the question
    std::uint32_t starts = 0;  ///< of the process that ended
    bool of_end = false;       ///< it was asked after the end: nothing will be added
    bool waiting = false;
    BootTime asked{};
    runtime::LastWords words{};
  };
  void ask(const plan::InstanceId& id, std::uint32_t starts, bool of_end);
  void read(const plan::InstanceId& id, std::uint64_t number);
  void take(const plan::InstanceId& id, std::uint64_t number, runtime::LastWords words);
  void fit();

  const Read read_;
  const Clock& clock_;
  Jobs& jobs_;
  Attention& attention_;
  std::map<plan::InstanceId, Entry> entries_;
  std::set<plan::InstanceId> reading_;
  std::uint64_t last_number_ = 0;
};

}  // namespace holdfast::deploy::engine
