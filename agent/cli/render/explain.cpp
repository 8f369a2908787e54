#include "agent/cli/render/explain.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "agent/cli/render/exit_code.hpp"
#include "agent/cli/render/when.hpp"
#include "common/base/text.hpp"
#include "proto/json/writer.hpp"

namespace holdfast::agent::cli {
namespace {

namespace api = proto::api;
using Entries = std::span<const api::LedgerEntry>;

constexpr std::size_t kLastWords = 5;       ///< lines of a service's output
constexpr std::size_t kLongestWords = 200;  ///< bytes of one of them
constexpr std::size_t kCrashLoop = 3;       ///< restarts of an instance that make one

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
     {State::backoff, "does not run; it is started again after a pause"},
     {State::missing, "is declared, and there is no instance of it"}}};

std::string moment(std::string_view time, WallTime now) {
  auto text = ago(time, now);
  return text == "now" ? "just now" : text;
}

std::string how_it_stands(const api::ServiceStatus& service) {
  if (service.state != "running") {
    const auto* const row = std::find_if(kStates.begin(), kStates.end(), [&](const auto& known) {
      return service.state == proto::Word<State>{known.first};
    });
    return row != kStates.end() ? std::string{row->second} : "is " + service.state.str();
  }
  if (service.health == "healthy") return "runs and is healthy";
  if (service.health == "unhealthy") return "runs, but its health check fails";
  return service.health == "none" ? "runs; no health check is declared"
                                  : "runs, and its health check has not passed yet";
}

/// As `holdfast status SERVICE` ends.
Standing standing_of(const api::ServiceStatus& service, const std::vector<api::DriftItem>& drift) {
  if (is_bad(service.state) || service.health == "unhealthy" || needs_a_look(drift))
    return Standing::bad;
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

Mark mark_of(Standing standing) {
  if (standing == Standing::bad) return Mark::bad;
  return standing == Standing::good ? Mark::good : Mark::warn;
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

/// Between two tries it runs; the status says that in its detail.
bool crash_loops(const api::ServiceStatus& service, Entries recent) {
  const auto crashes = std::count_if(recent.begin(), recent.end(),
                                     [&](const auto& entry) { return is_crash(entry, service); });
  return service.detail.starts_with("crash loop") &&
         static_cast<std::size_t>(crashes) >= kCrashLoop;
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

/// The newest change that failed, unless a later one went well or somebody went back since. Of a
/// service: that failed by it.
void add_failure(const std::string& service, Entries recent, WallTime now,
                 std::vector<Reason>& reasons) {
  const api::LedgerEntry* failed = nullptr;
  bool rolled_back = false;
  for (const auto& entry : recent) {
    if (entry.kind == "good" || entry.kind == "rollback_started" || entry.kind == "apply_unchanged")
      failed = nullptr;
    if (entry.kind == "failed" && (service.empty() || entry.service == service)) {
      failed = &entry;
      rolled_back = false;
    }
    if (failed != nullptr && entry.kind == "rolled_back")
      rolled_back = detail_of(entry, "failed_generation") == std::to_string(failed->generation);
  }
  if (failed == nullptr) return;
  Reason reason{
      fmt::format("generation {} failed {}{}: {}", failed->generation, moment(failed->time, now),
                  rolled_back ? " and was rolled back" : "", failed->reason),
      {},
      detail_of(*failed, "next")};
  if (const auto probe = detail_of(*failed, "probe"); !probe.empty())
    reason.evidence.push_back("probe: " + probe);
  for (auto& line : last_words(detail_of(*failed, "log_tail")))
    reason.evidence.push_back(std::move(line));
  if (reason.next.empty()) reason.next = fmt::format("holdfast show {}", failed->generation);
  reasons.push_back(std::move(reason));
}

/// Of a service; of the host as a whole where its name is empty.
std::vector<api::DriftItem> drift_of(const api::Status& status, const std::string& service) {
  std::vector<api::DriftItem> drift;
  for (const auto& item : status.drift)
    if (item.service == service) drift.push_back(item);
  return drift;
}

void add_drift(const std::vector<api::DriftItem>& drift, std::vector<Reason>& reasons) {
  for (const auto& item : drift)
    reasons.push_back(
        {fmt::format("it differs from what is declared ({}): {}", item.kind.text(), item.evidence),
         {},
         item.next});
}

/// What a rollout waits for begins with whom ("web: GET … (2 of 3)"), or is of no service alone: an
/// image, a hook.
bool concerns(const api::Status& status, const api::ServiceStatus& service, Standing standing) {
  if (!status.rollout) return false;
  const auto& what = status.rollout->waiting_for;
  if (what.starts_with(service.name + ":") || standing != Standing::good) return true;
  const bool another =
      std::any_of(status.services.begin(), status.services.end(),
                  [&](const auto& other) { return what.starts_with(other.name + ":"); });
  return !what.empty() && !another;
}

Reason rollout_reason(const api::RolloutStatus& rollout) {
  auto what = fmt::format("generation {} is being rolled out: {} for {}", rollout.generation,
                          rollout.phase.text(), seconds_text(rollout.seconds));
  if (!rollout.waiting_for.empty()) what += ", waiting for " + rollout.waiting_for;
  if (!rollout.begins.empty()) what += ", begins " + rollout.begins;
  return {std::move(what), {}, "holdfast events -f"};
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

void write_lines(std::string& out, std::string_view indent, const std::string& text) {
  out += fmt::format("{}{}\n", indent, printable(shorten_digests(text)));
}

}  // namespace

std::string_view to_string(Standing standing) {
  constexpr std::array<std::string_view, 3> kWords{"good", "waiting", "bad"};
  return kWords.at(static_cast<std::size_t>(standing));
}

Explanation explain_service(const api::Status& status, const api::ServiceStatus& service,
                            Entries recent, WallTime now) {
  Explanation made{.subject = service.name, .sentence = how_it_stands(service), .reasons = {}};
  if (service.state == "running" && !service.since.empty())
    made.sentence += ", for " + age(service.since, now);
  if (!service.detail.empty()) made.sentence += ": " + service.detail;
  const auto drift = drift_of(status, service.name);
  add_drift(drift, made.reasons);
  made.standing = crash_loops(service, recent) ? Standing::bad : standing_of(service, drift);
  if (service.state == "stopped")
    made.reasons.push_back(
        {"it stays so until it is started", {}, "holdfast start " + service.name});
  if (concerns(status, service, made.standing))
    made.reasons.push_back(rollout_reason(*status.rollout));
  const auto known = made.reasons.size();
  add_restarts(service, recent, now, made.reasons);
  if (made.standing == Standing::bad && made.reasons.size() == known)
    made.reasons.push_back({"its output may tell more", {}, "holdfast logs " + service.name});
  add_failure(service.name, recent, now, made.reasons);
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
  add_failure(service, recent, now, made.reasons);
  return made;
}

Explanation explain_host(const api::Status& status, Entries recent, WallTime now) {
  Explanation made{.subject = {},
                   .sentence = status.state.str(),
                   .standing = standing_of(status),
                   .reasons = {}};
  if (!status.message.empty()) made.sentence += ": " + status.message;
  if (status.state == "empty") {
    add_failure({}, recent, now, made.reasons);
    if (!made.reasons.empty()) made.standing = Standing::bad;
    made.reasons.push_back(
        made.reasons.empty()
            ? Reason{"it waits for its first deployment", {}, "holdfast apply FILE"}
            : Reason{"a document that failed is not taken again as it is",
                     {},
                     "change it, then: holdfast apply FILE"});
  }
  if (status.rollout) made.reasons.push_back(rollout_reason(*status.rollout));
  if (status.hold) made.reasons.push_back(hold_reason(*status.hold, now));
  if (status.quarantined) made.reasons.push_back(quarantine_reason(*status.quarantined));
  if (status.source) add_source(*status.source, now, made.reasons);
  add_drift(drift_of(status, {}), made.reasons);
  for (const auto& text : status.incomplete)
    made.reasons.push_back(
        {text, {}, "mend what agent.yaml names; the agent tries again by itself"});
  if (status.rollback.generation > 0 && !status.rollback.ready)
    made.reasons.push_back({fmt::format("a rollback to generation {} is not ready: {}",
                                        status.rollback.generation, status.rollback.reason),
                            {},
                            {}});
  if (status.state != "empty") add_failure({}, recent, now, made.reasons);
  return made;
}

std::string why_view(std::span<const Explanation> all, const Look& look) {
  std::string out;
  for (const auto& one : all) {
    const auto subject = one.subject.empty() ? std::string{"this host"} : printable(one.subject);
    out += fmt::format(
        "{} {} {}\n", mark(mark_of(one.standing), look), paint(subject, Tone::bold, look),
        printable(shorten_digests((one.subject.empty() ? "is " : "") + one.sentence)));
    for (const auto& reason : one.reasons) {
      write_lines(out, "  - ", reason.what);
      for (const auto& line : reason.evidence) write_lines(out, "      ", line);
      if (!reason.next.empty()) write_lines(out, "    next: ", reason.next);
    }
  }
  return out;
}

std::string why_json(std::span<const Explanation> all) {
  proto::json::Writer out;
  out.begin_array();
  for (const auto& one : all) {
    out.begin_object().key("service").value(one.subject).key("sentence").value(one.sentence);
    out.key("standing").value(to_string(one.standing)).key("reasons").begin_array();
    for (const auto& reason : one.reasons) {
      out.begin_object().key("what").value(reason.what).key("evidence").begin_array();
      for (const auto& line : reason.evidence) out.value(line);
      out.end_array().key("next").value(reason.next).end_object();
    }
    out.end_array().end_object();
  }
  return std::move(out.end_array()).take();
}

}  // namespace holdfast::agent::cli
