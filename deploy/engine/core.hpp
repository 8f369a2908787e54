#pragma once
/// \file
/// The engine without its thread: state and one reconcile pass, so that a test can step it with
/// fake ports and clock.

#include <memory>

#include "deploy/engine/commands/commands.hpp"
#include "deploy/engine/jobs/actions.hpp"
#include "deploy/engine/jobs/backups.hpp"
#include "deploy/engine/observation.hpp"
#include "deploy/engine/retention.hpp"
#include "deploy/engine/snapshots.hpp"

namespace holdfast::deploy::engine {

/// Observe, decide, record, act. Not thread safe: belongs to the engine thread, but for `snapshot`
/// and `events`.
class Core {
 public:
  Core(Ports ports, Options options, Jobs& jobs);

  /// Reads generations, documents and progress; reserves the current ports.
  [[nodiscard]] Status load();

  /// One pass, repeated until nothing more is due now; with `Freshness::remembered` decides on what
  /// was seen last. Returns when the next pass is due.
  BootTime reconcile(Freshness freshness);

  Commands& commands() { return commands_; }
  void reconfigure(proto::LiveSettings settings);
  /// As `Retention::images_changed`.
  void images_changed(const std::string& collected, const Actor& actor);
  /// The agent did not run for `pause`: what waits for a time goes on with what was left of it, and
  /// probes that fail within a second from now say nothing of what they asked.
  void suspended(BootClock::duration pause);

  Attention& attention() { return parts_.attention; }
  /// No rollout and no rehearsal waits for an answer.
  [[nodiscard]] bool at_rest() const;
  /// Since the last call the answer of a probe asked for a pass, though not for a full observation.
  [[nodiscard]] bool take_wake() { return probes_.take_wake(); }

  [[nodiscard]] std::shared_ptr<const Snapshot> snapshot() const { return snapshots_.latest(); }
  [[nodiscard]] EventLog& events() { return parts_.events; }

 private:
  void read_documents();
  void resync();
  void look_at_disk();
  [[nodiscard]] bool observe_and_settle(Freshness freshness, BootTime& wake);
  [[nodiscard]] bool settle(plan::Decision decision);
  [[nodiscard]] bool goes_back(const plan::Decision& decision) const;
  [[nodiscard]] bool awaits_evidence(const plan::Decision& decision);
  [[nodiscard]] bool start_unjournaled(plan::Decision& decision);
  void end_everything(const plan::Decision& decision);
  [[nodiscard]] bool keep_serving(const plan::Decision& decision);
  void finish(const plan::Rollout& rollout);
  [[nodiscard]] plan::Settings settings() const;

  Parts parts_;
  Pulls pulls_;
  Probes probes_;
  Drains drains_;
  DriftLog drift_;
  Endings endings_;
  Backups backups_;
  Actions actions_;
  Commands commands_;
  Retention retention_;
  Observation observation_;
  Snapshots snapshots_;
  BootTime next_resync_{};
  bool ready_ = false;
};

}  // namespace holdfast::deploy::engine
