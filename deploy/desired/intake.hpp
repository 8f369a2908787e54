#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "deploy/desired/memory.hpp"
#include "deploy/desired/source.hpp"
#include "proto/api/messages.hpp"

namespace holdfast::deploy::desired {

/// How often a source was read, by what came of it.
struct SourceReads {
  std::uint64_t updated = 0;
  std::uint64_t unchanged = 0;
  std::uint64_t error = 0;
};

/// Decides what of a source is offered to the engine, and when: what is new since the last read, or
/// at the start since what is remembered; while a rollout is under way it waits, and a newer
/// candidate takes its place. Not thread safe; logs what happens.
class Intake {
 public:
  /// The two outlive it; `reads` goes on where it is.
  Intake(Memory& memory, const Clock& clock, SourceReads& reads);

  /// After each read of the source.
  void take(Result<Candidate> read);
  /// Somebody asked for it: what was read last is offered once more. The engine knows what it has.
  void offer_again();

  /// The candidate to hand to the engine now; each is given once. `status` is the engine's.
  [[nodiscard]] std::optional<Candidate> offer(const proto::api::Status& status);

  /// From time to time: remembers what was offered, once the engine must have recorded it. Dying
  /// earlier only means that it is offered once more.
  void settle();

  /// Whether `offer` or `settle` have something left to do.
  [[nodiscard]] bool unsettled() const { return waiting_ || remember_at_; }

 private:
  void failed(const Error& error);

  Memory& memory_;
  const Clock& clock_;
  SourceReads& reads_;
  std::optional<Candidate> seen_;  ///< the last one read
  bool waiting_ = false;           ///< `seen_` was not offered yet
  std::optional<Candidate> offered_;
  std::optional<BootTime> remember_at_;  ///< `offered_`
  std::string last_error_;               ///< so that it is logged once
};

}  // namespace holdfast::deploy::desired
