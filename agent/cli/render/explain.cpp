#include "agent/cli/render/explain.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "agent/cli/render/exit_code.hpp"
#include "agent/cli/render/when.hpp"
#include "common/base/text.hpp"

namespace holdfast::agent::cli {
namespace {

namespace api = proto::api;
using Entries = std::span<const api::LedgerEntry>;

constexpr std::size_t kLastWords = 5;       ///< lines of a service's output
constexpr std::size_t kLongestWords = 200;  ///< bytes of one of them

std::string detail_of(const api::LedgerEntry& entry, const std::string& key) {
  const auto found = entry.detail.find(key);
  return found == entry.detail.end() ? std::string{} : found->second;
}

using State = api::ServiceState;
/// What is said of a state other than running.
constexpr std::array<std::pair<State, std::string_view>, 12> kStates{
    {{State::pending, "does not serve yet: its rollout is under way"},
     {State::pulling, "waits for its image, which is being fetched"},
     {State::creating, "does not run yet: its container is being made"},
     {State::starting, "is being started"},
     {State::frozen, "answers nobody: it was frozen from outside"},
     {State::unsupervised, "runs, but nobody watches it: its monitor has gone"},
     {State::broken, "cannot be judged: its container is damaged"},
     {State::exited, "has ended and is not started again"},
     {State::completed, "has done its work and ended"},
     {State::stopped, "was stopped by an operator"},
     {State::backoff, "does not run: it ended, or could not be started"},
     {State::missing, "is declared, and there is no instance of it"}}};

std::string moment(std::string_view time, WallTime now) {
  auto text = ago(time, now);
  return text == "now" ? "just now" : text;
}

std::string how_it_runs(const api::ServiceStatus& service, WallTime now) {
  const auto runs = service.since.empty() ? "runs" : "has run for " + age(service.since, now);
  if (service.health == "healthy") return runs + " and is healthy";
  if (service.health == "unhealthy") return runs + ", but its health check fails";
  if (service.health == "starting") return runs + ", and its health check has not passed yet";
  return service.detail.empty() ? runs + "; no health check is declared" : runs;
}

std::string how_it_stands(const api::ServiceStatus& service, WallTime now) {
  if (service.state == "running") return how_it_runs(service, now);
  const auto* const row = std::find_if(kStates.begin(), kStates.end(), [&](const auto& known) {
    return service.state == proto::Word<State>{known.first};
  });
  return row != kStates.end() ? std::string{row->second} : "is " + service.state.str();
}

/// As `holdfast status SERVICE` ends.
Standing standing_of(const api::ServiceStatus& service, const std::vector<api::DriftItem>& drift) {
  if (is_bad(service) || needs_a_look(drift)) return Standing::bad;
  const bool settled =
      service.state == "completed" || (service.state == "running" && service.health != "starting");
  return settled ? Standing::good : Standing::waiting;
}

Standing standing_of(const api::Status& status) {
  switch (exit_code_of_status(status)) {
    case ExitCode::degraded:
      return Standing::bad;
    case ExitCode::held:
      return Standing::waiting;
    default:
      return status.rollout ? Standing::waiting : Standing::good;
  }
}

std::vector<std::string> last_words(const std::string& lines) {
  std::vector<std::string> words;
  for (const auto line : split(lines, '\n'))
    if (!line.empty())
      words.push_back(line.size() <= kLongestWords
                          ? std::string{line}
                          : well_formed(line.substr(0, kLongestWords)) + "...");
  if (words.size() > kLastWords)
    words.erase(words.begin(), words.end() - static_cast<std::ptrdiff_t>(kLastWords));
  return words;
}

/// Of the instance that there is now, and not by an operator.
bool is_crash(const api::LedgerEntry& entry, const api::ServiceStatus& service) {
  return entry.kind == "restarted" && entry.service == service.name && entry.actor == "agent" &&
         detail_of(entry, "instance") == service.instance;
}

void add_restarts(const api::ServiceStatus& service, Entries recent, WallTime now,
                  std::vector<Reason>& reasons) {
  const api::LedgerEntry* last = nullptr;
  const api::LedgerEntry* first = nullptr;
  std::size_t count = 0;
  std::string words;
  for (const auto& entry : recent) {
    if (!is_crash(entry, service)) continue;
    ++count;
    if (first == nullptr) first = &entry;
    last = &entry;
    if (auto said = detail_of(entry, "log_tail"); !said.empty()) words = std::move(said);
  }
  if (last == nullptr) return;
  auto what =
      count == 1 ? fmt::format("it was started again {}: {}", moment(last->time, now), last->reason)
                 : fmt::format("it was started again {} times, first {}, last {}: {}", count,
                               moment(first->time, now), moment(last->time, now), last->reason);
  if (detail_of(*last, "oom") == "yes") what += ", for want of memory";
  auto next = detail_of(*last, "next");
  reasons.push_back(
      {std::move(what), last_words(words), !next.empty() ? next : "holdfast logs " + service.name});
}

/// The newest change that failed, unless a later one went well or somebody went back since.
struct Failure {
  const api::LedgerEntry* entry = nullptr;  ///< none: there is none
  bool is_rollback = false;                 ///< of an operator
  bool went_back = false;
  bool is_quarantined = false;
};

/// Of a service: one that failed by it; empty: by any, or by none.
Failure last_failure(const std::string& service, Entries recent) {
  Failure last;
  std::uint64_t rollback_to = 0;
  for (const auto& entry : recent) {
    if (entry.kind == "rollback_started") rollback_to = entry.generation;
    if (entry.kind == "accepted") rollback_to = 0;
    if (entry.kind == "good" || entry.kind == "rollback_started" || entry.kind == "apply_unchanged")
      last = {};
    if (entry.kind == "failed" && (service.empty() || entry.service == service))
      last = {.entry = &entry, .is_rollback = rollback_to == entry.generation};
    if (last.entry == nullptr) continue;
    const auto failed = std::to_string(last.entry->generation);
    if (entry.kind == "rolled_back")
      last.went_back = detail_of(entry, "failed_generation") == failed;
    if (entry.kind == "quarantined" && entry.generation == last.entry->generation)
      last.is_quarantined = true;
  }
  return last;
}

void add_failure(const Failure& failure, WallTime now, std::vector<Reason>& reasons) {
  if (failure.entry == nullptr) return;
  const auto& failed = *failure.entry;
  const auto* const what = failure.is_rollback ? "the rollback to generation" : "generation";
  const auto* const then = !failure.went_back    ? ""
                           : failure.is_rollback ? " and changed nothing"
                                                 : " and was rolled back";
  Reason reason{fmt::format("{} {} failed {}{}: {}", what, failed.generation,
                            moment(failed.time, now), then, failed.reason),
                {},
                detail_of(failed, "next")};
  if (const auto probe = detail_of(failed, "probe"); !probe.empty())
    reason.evidence.push_back("probe: " + probe);
  for (auto& line : last_words(detail_of(failed, "log_tail")))
    reason.evidence.push_back(std::move(line));
  if (reason.next.empty()) reason.next = fmt::format("holdfast show {}", failed.generation);
  reasons.push_back(std::move(reason));
}

std::vector<api::DriftItem> drift_of(const api::Status& status, const std::string& service) {
  std::vector<api::DriftItem> drift;
  for (const auto& item : status.drift)
    if (item.service == service) drift.push_back(item);
  return drift;
}

/// Of what is no declared service: the host as a whole, and what nobody declared.
std::vector<api::DriftItem> drift_of_host(const api::Status& status) {
  std::vector<api::DriftItem> drift;
  for (const auto& item : status.drift) {
    const bool declared =
        std::any_of(status.services.begin(), status.services.end(),
                    [&](const auto& service) { return service.name == item.service; });
    if (!declared) drift.push_back(item);
  }
  return drift;
}

void add_drift(const std::vector<api::DriftItem>& drift, std::vector<Reason>& reasons) {
  for (const auto& item : drift)
    reasons.push_back({fmt::format("what runs differs from what is declared ({}): {}",
                                   item.kind.text(), item.evidence),
                       {},
                       item.next});
}

/// It waits for this service, or for what is of none alone (an image, a hook), or this one waits
/// for it.
bool concerns(const api::RolloutStatus& rollout, const std::string& service, Standing standing) {
  if (rollout.service == service || standing == Standing::waiting) return true;
  return rollout.service.empty() && !rollout.waiting_for.empty();
}

Reason rollout_reason(const api::RolloutStatus& rollout) {
  if (rollout.phase == "waiting")
    return {fmt::format("generation {} waits to be rolled out: {}{}", rollout.generation,
                        rollout.waiting_for,
                        rollout.begins.empty() ? "" : ", begins " + rollout.begins),
            {},
            "holdfast events -f"};
  return {fmt::format("generation {} has been rolled out for {}, now {}{}", rollout.generation,
                      seconds_text(rollout.seconds), rollout.phase.text(),
                      rollout.waiting_for.empty() ? "" : "; it waits for " + rollout.waiting_for),
          {},
          "holdfast events -f"};
}

Reason hold_reason(const api::HoldStatus& hold, WallTime now) {
  return {fmt::format("changes have been held by {} for {}{}: {}", hold.actor, age(hold.since, now),
                      hold.until.empty() ? "" : ", until " + hold.until, hold.reason),
          {},
          "holdfast resume"};
}

Reason quarantine_reason(const api::QuarantineItem& item) {
  Reason reason{
      fmt::format("{} declares {}, which is quarantined: {}", item.source,
                  short_digest(item.spec_digest), item.reason),
      {},
      "change what is declared, or: holdfast quarantine release " + short_digest(item.spec_digest)};
  for (const auto& [key, value] : item.evidence)
    if (key != "log_tail" && key != "error") reason.evidence.push_back(key + ": " + value);
  return reason;
}

void add_source(const api::SourceStatus& source, WallTime now, std::vector<Reason>& reasons) {
  if (source.state != "refused" && source.state != "unreachable" && source.state != "stale") return;
  const auto heard = source.last_success.empty() ? std::string{"never heard of"}
                                                 : "last good " + moment(source.last_success, now);
  Reason reason{
      fmt::format("the source {} is {}, {}", source.source, source.state.text(), heard), {}, {}};
  if (source.refusal) {
    reason.evidence.push_back(
        fmt::format("{} ({})", source.refusal->message, source.refusal->code));
    reason.next = source.refusal->next;
  }
  if (reason.next.empty()) reason.next = "holdfast sync";
  reasons.push_back(std::move(reason));
}

}  // namespace

Explanation explain_service(const api::Status& status, const api::ServiceStatus& service,
                            Entries recent, WallTime now) {
  const auto drift = drift_of(status, service.name);
  Explanation made{.subject = service.name,
                   .sentence = how_it_stands(service, now),
                   .standing = standing_of(service, drift),
                   .reasons = {}};
  if (!service.detail.empty()) made.sentence += ": " + service.detail;
  if (service.state == "stopped")
    made.reasons.push_back(
        {"it stays so until it is started", {}, "holdfast start " + service.name});
  if (status.rollout && concerns(*status.rollout, service.name, made.standing))
    made.reasons.push_back(rollout_reason(*status.rollout));
  const auto known = made.reasons.size();
  add_restarts(service, recent, now, made.reasons);
  if (is_bad(service) && made.reasons.size() == known)
    made.reasons.push_back({"its output may tell more", {}, "holdfast logs " + service.name});
  add_drift(drift, made.reasons);
  add_failure(last_failure(service.name, recent), now, made.reasons);
  return made;
}

Explanation explain_absent(const api::Status& status, const std::string& service, Entries recent,
                           WallTime now) {
  Explanation made{
      .subject = service,
      .sentence = status.generation == 0
                      ? "does not run, nor does anything else"
                      : fmt::format("is no part of generation {}, which runs", status.generation),
      .standing = Standing::bad,
      .reasons = {}};
  add_failure(last_failure(service, recent), now, made.reasons);
  return made;
}

Explanation explain_host(const api::Status& status, Entries recent, WallTime now) {
  Explanation made{.subject = {},
                   .sentence = status.state.str(),
                   .standing = standing_of(status),
                   .reasons = {}};
  if (!status.message.empty()) made.sentence += ": " + status.message;
  const auto failure = last_failure({}, recent);
  if (status.state == "empty") {
    add_failure(failure, now, made.reasons);
    if (failure.entry != nullptr) made.standing = Standing::bad;
    made.reasons.push_back({failure.is_quarantined ? "that document is not taken again as it is"
                                                   : "nothing runs here yet",
                            {},
                            "holdfast apply FILE"});
  }
  if (status.rollout) made.reasons.push_back(rollout_reason(*status.rollout));
  if (status.hold) made.reasons.push_back(hold_reason(*status.hold, now));
  if (status.quarantined) made.reasons.push_back(quarantine_reason(*status.quarantined));
  if (status.source) add_source(*status.source, now, made.reasons);
  add_drift(drift_of_host(status), made.reasons);
  for (const auto& text : status.incomplete)
    made.reasons.push_back(
        {text, {}, "mend what agent.yaml names; the agent tries again by itself"});
  if (status.rollback.generation > 0 && !status.rollback.ready)
    made.reasons.push_back({fmt::format("a rollback to generation {} is not ready: {}",
                                        status.rollback.generation, status.rollback.reason),
                            {},
                            {}});
  if (status.state != "empty") add_failure(failure, now, made.reasons);
  return made;
}

}  // namespace holdfast::agent::cli
