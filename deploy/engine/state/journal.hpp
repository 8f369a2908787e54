#pragma once
/// \file
/// The engine's durable state and the only way it changes: with its record.

#include <filesystem>
#include <optional>
#include <string>

#include "deploy/engine/state/attention.hpp"
#include "deploy/engine/state/counters.hpp"
#include "deploy/engine/state/events.hpp"
#include "deploy/engine/state/generations.hpp"
#include "deploy/engine/state/ports.hpp"
#include "deploy/engine/state/quarantine.hpp"
#include "deploy/engine/state/rollback_intent.hpp"
#include "deploy/plan/plan.hpp"

namespace holdfast::deploy::engine {

/// Owns progress, and what of it the ledger has yet to hear. What a batch says takes effect in
/// memory (generations, quarantine, counters, events) when the ledger has taken it.
///
/// A ledger that takes nothing (full, failing or damaged) refuses every change but a rollback, and
/// a rollout whose switch has begun: those go on unjournaled, in memory, and are recorded when the
/// ledger takes entries again. Engine thread only.
class Journal {
 public:
  struct Beside {  ///< what batches take effect on; all outlive the journal
    Generations& generations;
    Quarantine& quarantine;
    EventLog& events;
    Counters& counters;
    Attention& attention;
  };
  Journal(ledger::Ledger& ledger, const Clock& clock, const std::filesystem::path& run_dir,
          Beside beside);

  /// Reads progress and head. Errors: those of the ledger, ledger_corrupt.
  [[nodiscard]] Status load();

  [[nodiscard]] const plan::Progress& progress() const { return progress_; }
  [[nodiscard]] GenerationId effective() const { return plan::effective_generation(progress_); }
  /// An entry of now, with the spec digest of the generation (0: none).
  [[nodiscard]] proto::Entry entry(proto::EntryKind kind, const std::string& actor,
                                   std::string reason, GenerationId id) const;
  /// Adds to `batch` that a generation will not be rolled out.
  void supersede_into(ledger::Batch& batch, GenerationId id, const std::string& actor,
                      const std::string& reason) const;
  /// The same of the rollout that waits, if one does, with the progress without it.
  void withdraw_into(ledger::Batch& batch, const std::string& actor,
                     const std::string& reason) const;

  /// Records what changes no progress. Errors: those of the ledger, with the next step as hint.
  [[nodiscard]] Status commit(ledger::Batch batch);
  /// Records `batch` with `next`, which becomes the progress. On an error nothing has changed.
  [[nodiscard]] Status advance(plan::Progress next, ledger::Batch batch);
  /// The same for a rollback, which cannot fail: where the ledger takes nothing its intent goes to
  /// the run directory, and it goes on unjournaled.
  void advance_regardless(plan::Progress next, const RollbackIntent& intent, ledger::Batch batch);
  /// Records a decision; then its progress holds, and its actions may start. False: it was not
  /// recorded, and nothing of it may happen.
  [[nodiscard]] bool record(const plan::Decision& decision, ledger::Batch batch);
  /// As if time had stood still: instants are not recorded.
  void shift(BootClock::duration pause) { progress_ = plan::shift(progress_, pause); }

  /// The intent of a rollback that an earlier life left behind.
  [[nodiscard]] std::optional<RollbackIntent> left_intent() const { return intent_file_.read(); }
  void forget_intent() const { intent_file_.remove(); }

  /// At each resync: whether the ledger takes entries again. A full disk heals; a failed flush
  /// waits for a restart.
  void retry();
  /// What became of a commit that the disk took too long for. Whoever asked for it was told that it
  /// is not recorded, or went on without: so what it says takes effect now, if it still can. True:
  /// progress was replaced, something begins.
  [[nodiscard]] bool resolve_in_doubt();
  /// At the end of a pass: records a deferred batch whose time has come.
  void flush_deferred();
  /// When the journal needs the next pass, at the latest `otherwise`.
  [[nodiscard]] BootTime wake_at(BootTime otherwise) const;

  /// Why the ledger takes nothing.
  struct Refusal {
    Errc code = Errc::io;
    std::string fault;
    std::string next;  ///< what to do about it
  };
  [[nodiscard]] const std::optional<Refusal>& refusal() const { return refusal_; }
  [[nodiscard]] bool writable() const { return !refusal_; }
  [[nodiscard]] bool unjournaled() const {
    return unjournaled_;
  }  ///< what happens is in memory only
  [[nodiscard]] bool stale() const { return ledger_.stale(); }
  [[nodiscard]] const ledger::Head& head() const { return head_; }

 private:
  void tell_head() const;
  /// What is recorded together with the next commit: the phases of a rollback on the way to its
  /// switch, or all that happened while the ledger took nothing.
  struct Deferred {
    ledger::Batch batch{};
    BootTime until{};        ///< recorded by then, whatever happens
    bool effective = false;  ///< it has taken effect in memory
  };

  Error refuse(const Error& error);
  void take_effect(const ledger::Batch& batch, std::size_t published = 0);
  [[nodiscard]] bool defer(const plan::Decision& decision, ledger::Batch& batch);
  [[nodiscard]] bool continues_unjournaled() const;
  void keep(ledger::Batch batch);
  [[nodiscard]] std::size_t drop_deferred(const ledger::Batch& taken);
  void publish(const proto::Entry& entry);

  ledger::Ledger& ledger_;
  const Clock& clock_;
  RollbackIntentFile intent_file_;
  Beside beside_;
  plan::Progress progress_;
  std::string recorded_progress_;
  ledger::Head head_;
  std::optional<Deferred> deferred_;
  std::optional<Refusal> refusal_;
  bool unjournaled_ = false;
};

/// Why an apply that the ledger took only afterwards was not carried out.
inline constexpr std::string_view kOvertaken = "a rollback came before it was recorded";

}  // namespace holdfast::deploy::engine
