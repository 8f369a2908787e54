// A rollback when the ledger takes nothing (packaging/doc/design.md 4, `stop`): its intent goes to
// the run directory, which a full or broken disk does not touch, the rest lives in memory, and the
// ledger hears of it when it can be written again.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "common/log/log.hpp"
#include "common/os/file.hpp"
#include "deploy/engine/core.hpp"
#include "deploy/plan/recovery.hpp"

namespace holdfast::deploy::engine {
namespace {

namespace bj = boost::json;

constexpr std::string_view kTooLate = "a rollback came before it was recorded";

struct Intent {
  std::uint64_t from = 0;
  std::uint64_t target = 0;
  std::string actor;
  std::string reason;
  WallTime time{};
};

std::string encode(const Intent& intent) {
  return bj::serialize(bj::object{{"from", intent.from},
                                  {"target", intent.target},
                                  {"actor", intent.actor},
                                  {"reason", intent.reason},
                                  {"time", to_rfc3339(intent.time)}});
}

std::optional<Intent> decode(const std::string& text) {
  boost::system::error_code failed;
  const auto value = bj::parse(text, failed);
  const auto* fields = failed ? nullptr : value.if_object();
  if (fields == nullptr) return std::nullopt;
  const auto number = [&](const char* key) -> std::uint64_t {
    const auto* found = fields->if_contains(key);
    return found != nullptr && found->is_int64() && found->get_int64() > 0
               ? static_cast<std::uint64_t>(found->get_int64())
               : 0;
  };
  const auto text_of = [&](const char* key) -> std::string {
    const auto* found = fields->if_contains(key);
    return found != nullptr && found->is_string() ? std::string{found->get_string()}
                                                  : std::string{};
  };
  const auto time = parse_rfc3339(text_of("time"));
  if (number("target") == 0 || !time) return std::nullopt;
  return Intent{number("from"), number("target"), text_of("actor"), text_of("reason"), *time};
}

std::filesystem::path intent_file(const proto::AgentConfig& config) {
  return config.run_dir / "rollback-intent.json";
}

}  // namespace

/// The steps of this rollback are done in memory and recorded later. Without a file it goes on all
/// the same: it cannot fail for want of a note.
void Core::go_unrecorded(GenerationId target, const Actor& actor, const std::string& reason,
                         ledger::Batch batch) {
  const Intent intent{plan::in_force(progress_).value(), target.value(), actor, reason,
                      ports_.clock.wall()};
  if (auto written = os::write_atomic(intent_file(options_.config), encode(intent), 0600); !written)
    log::error("event=intent_not_written error={}", log::field(written.error().to_string()));
  log::warn("event=rollback_unrecorded generation={} actor={} reason={} ledger={}", target.value(),
            log::field(actor), log::field(reason), log::field(ledger_fault_));
  unrecorded_ = true;
  keep_for_later(std::move(batch));
}

/// Once it is in memory only, a roll-out that changes what serves goes on without the ledger: half
/// a switch is the worst place to stop in. One that has not switched yet stays where it is.
bool Core::goes_on_unrecorded() const {
  if (ledger_ok_) return false;
  if (ports_.ledger.stale()) return unrecorded_;
  const auto& rollout = progress_.rollout;
  return unrecorded_ || (rollout && (rollout->trigger == plan::Trigger::rollback ||
                                     rollout->phase == plan::Phase::switching ||
                                     rollout->phase == plan::Phase::soaking ||
                                     rollout->phase == plan::Phase::reverting));
}

/// What the ledger is to hear of when it can be written again; of a long time, the last part.
void Core::keep_for_later(ledger::Batch batch) {
  for (const auto& each : batch.entries) publish(each);
  set_results(batch.results);
  if (!put_off_) put_off_ = PutOff{};
  put_off_->batch.append(std::move(batch));
  put_off_->published = true;
  constexpr std::size_t kMost = 1'000;
  auto& entries = put_off_->batch.entries;
  if (entries.size() > kMost)
    entries.erase(entries.begin(),
                  entries.begin() + static_cast<std::ptrdiff_t>(entries.size() - kMost));
}

/// An intent that an earlier life left behind is carried out, and recorded if that can be.
void Core::take_up_intent() {
  const auto path = intent_file(options_.config);
  const auto text = os::read_file(path, 16U << 10);
  if (!text) return;
  const auto intent = decode(*text);
  const GenerationId target{intent ? intent->target : 0};
  if (!intent || generation(target) == nullptr) {
    log::error("event=intent_unusable file={}", path.string());
    forget_intent();
    return;
  }
  auto taken =
      plan::take_up_rollback(progress_, target, intent->actor, intent->reason, ports_.clock.boot());
  if (!taken) return forget_intent();
  ledger::Batch batch;
  if (taken->superseded) supersede_into(batch, *taken->superseded, "agent", std::string{kTooLate});
  rollback_into(batch, GenerationId{intent->from}, target, intent->actor, intent->reason);
  for (auto& each : batch.entries) each.time = intent->time;
  batch.progress = plan::encode_progress(taken->progress);
  if (commit(batch)) {
    forget_intent();
  } else {
    unrecorded_ = true;
    keep_for_later(std::move(batch));
  }
  progress_ = std::move(taken->progress);
  changed_ = true;
}

/// Whether the ledger takes entries again: a full disk heals, a fault of the disk waits for a
/// restart. What happened meanwhile is recorded then.
void Core::try_ledger() {
  if (ledger_ok_ || ports_.ledger.in_doubt()) return;
  auto note = entry(proto::EntryKind::agent_started, "agent", "the ledger takes entries again", {});
  note.detail["fault"] = ledger_fault_;
  ledger_ok_ = true;
  if (!commit({.entries = {std::move(note)}, .progress = plan::encode_progress(progress_)})) return;
  log::info("event=ledger_healed");
  ledger_fault_.clear();
  unrecorded_ = false;
  forget_intent();
}

/// What became of the commit that the disk took too long for. Whoever asked for it was told that it
/// is not recorded, or went on without: so what it says takes effect now, if it still can.
void Core::settle_doubt() {
  const auto outcome = ports_.ledger.outcome();
  if (!outcome) return;
  changed_ = true;
  if (!outcome->head) {
    (void)refused_by_ledger(outcome->head.error());
    return;
  }
  const auto& batch = outcome->batch;
  taken_by_ledger(batch, *outcome->head, drop_put_off(batch));
  for (const auto& row : batch.quarantine) put_quarantine(row);
  for (const auto& digest : batch.release) lift_quarantine(digest);
  if (unrecorded_ && batch.generation) {
    supersede_into(put_off_->batch, batch.generation->id, "agent", std::string{kTooLate});
  } else if (batch.progress && !unrecorded_) {
    auto recorded = plan::decode_progress(*batch.progress, ports_.clock.boot());
    if (recorded) begin_change(std::move(recorded).value());
  }
  try_ledger();
}

/// Takes out of what waits for the ledger the entries that it holds by now. How many of those are
/// published already.
std::size_t Core::drop_put_off(const ledger::Batch& taken) {
  if (!put_off_) return 0;
  auto& waiting = put_off_->batch.entries;
  const auto end =
      std::mismatch(waiting.begin(), waiting.end(), taken.entries.begin(), taken.entries.end())
          .first;
  const auto count = static_cast<std::size_t>(end - waiting.begin());
  waiting.erase(waiting.begin(), end);
  const bool published = put_off_->published;
  if (!unrecorded_) put_off_.reset();
  return published ? count : 0;
}

void Core::forget_intent() const {
  std::error_code ignored;
  std::filesystem::remove(intent_file(options_.config), ignored);
}

}  // namespace holdfast::deploy::engine
