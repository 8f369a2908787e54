#include "deploy/engine/commands/applies.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "common/base/text.hpp"
#include "common/log/log.hpp"
#include "deploy/engine/commands/holds_and_quarantine.hpp"
#include "deploy/plan/admission/admission.hpp"
#include "deploy/plan/staging.hpp"

namespace holdfast::deploy::engine {
namespace {

Error quarantined(const ledger::Quarantine& row) {
  const auto name = row.spec_digest.short_hex();
  return Error{Errc::quarantined,
               fmt::format("this document ({}) is quarantined by {}{}{}", name, row.actor,
                           row.until ? " until " + to_rfc3339(*row.until) : "",
                           row.reason.empty() ? "" : ": " + row.reason)}
      .hint(fmt::format(
          "apply a changed document, or allow this one again: holdfast quarantine release {}",
          name));
}

}  // namespace

Result<proto::Deployment> Applies::admit(Candidate& candidate) {
  HF_ASSIGN(auto wanted, std::move(candidate.document));
  if (const auto current = parts_.generations.document(parts_.journal.progress().current);
      current && current->name != wanted.name) {
    return Error{Errc::conflict, fmt::format("this agent runs deployment \"{}\", not \"{}\"",
                                             current->name, wanted.name)}
        .hint(
            "one deployment per agent: keep the name, or give the other one an agent with its own "
            "`instance`");
  }
  HF_TRY(check_host_policy(wanted));
  parts_.generations.add_zones(std::move(candidate.zones));
  if (const auto* row = parts_.quarantine.find(wanted.spec_digest)) return quarantined(*row);
  return wanted;
}

/// Where documents must be signed, one by hand has no signature that could be checked.
Result<proto::Deployment> Applies::admit_by_hand(Candidate& candidate) {
  const auto& request = candidate.request;
  const auto& source = parts_.options.config.source;
  if (!source.trust.empty() && !request.break_glass)
    return Error{Errc::sig_missing, "this host runs signed documents only"}.hint(
        "publish it signed, and holdfast sync; in an emergency: holdfast apply --break-glass "
        "--reason TEXT");
  if (request.break_glass) HF_TRY(need_reason(request.reason));
  return admit(candidate);
}

Status Applies::check_host_policy(const proto::Deployment& wanted) const {
  const auto& config = parts_.options.config;
  for (const auto& [key, value] : wanted.targets) {
    const auto label = config.labels.find(key);
    if (label == config.labels.end() || label->second != value)
      return Error{Errc::spec_target,
                   fmt::format("the document is for hosts with {}={}", key, value)}
          .hint("set the label in agent.yaml, or apply it elsewhere");
  }
  if (wanted.expires && *wanted.expires <= parts_.ports.clock.wall())
    return Error{Errc::spec_expired, "the document expired at " + to_rfc3339(*wanted.expires)}.hint(
        "publish it again with a later `expires`");
  return plan::admit(plan::image_facts(wanted),
                     plan::stricter(config.image_policy, wanted.image_policy));
}

/// What an apply means while another rollout is under way; nothing when it is a change of its own.
std::optional<Result<proto::api::Accepted>> Applies::join_rollout(
    const proto::api::ApplyRequest& request, const proto::Deployment& wanted, const Actor& actor) {
  const auto& progress = parts_.journal.progress();
  if (!progress.rollout) return std::nullopt;
  const auto& rollout = *progress.rollout;
  const auto* target = parts_.generations.find(rollout.target);
  if (target == nullptr || target->spec_digest != wanted.spec_digest) {
    if (plan::gives_way(progress)) return std::nullopt;
    return Error{Errc::busy, fmt::format("generation {} is being rolled out ({})",
                                         rollout.target.value(), plan::to_string(rollout.phase))}
        .hint("wait for it (`holdfast status --watch`) or go back (`holdfast rollback`)");
  }
  const proto::api::Accepted accepted{rollout.target.value(), wanted.spec_digest.str(), true,
                                      parts_.events.last()};
  if (request.now && !rollout.now && !plan::has_begun(progress)) {
    if (auto done = begin_now(request, actor); !done) return std::move(done).error();
  }
  if (plan::is_waiting(parts_.journal.progress())) announcer_.wait();
  return accepted;
}

/// The rollout that waits for its window begins without it.
Status Applies::begin_now(const proto::api::ApplyRequest& request, const Actor& actor) {
  auto next = parts_.journal.progress();
  next.rollout->now = true;
  auto note =
      parts_.journal.entry(proto::EntryKind::accepted, actor, request.reason, next.rollout->target);
  note.detail["now"] = "yes";
  return parts_.journal.advance(std::move(next), {.entries = {std::move(note)}});
}

Result<proto::api::Accepted> Applies::apply(Candidate candidate, const Actor& actor,
                                            plan::Trigger trigger) {
  const auto& request = candidate.request;
  auto admitted = trigger == plan::Trigger::source ? admit(candidate) : admit_by_hand(candidate);
  if (!admitted) {
    parts_.counters.count(admitted.error());
    if (admitted.error().code() == Errc::quarantined)
      (void)parts_.journal.commit(
          {.entries = {parts_.journal.entry(proto::EntryKind::refused, actor,
                                            admitted.error().what(), {})}});
    return std::move(admitted).error();
  }
  if (auto answered = join_rollout(request, *admitted, actor)) return *std::move(answered);
  const auto* current = parts_.generations.find(parts_.journal.effective());
  if (current != nullptr && current->spec_digest == admitted->spec_digest)
    return unchanged(candidate, *current, actor);
  return accept(candidate, *std::move(admitted), actor, trigger);
}

/// What runs already: a rollout that waits gives way to it.
Result<proto::api::Accepted> Applies::unchanged(const Candidate& candidate,
                                                const ledger::Generation& current,
                                                const Actor& actor) {
  const proto::api::Accepted accepted{current.id.value(), current.spec_digest.str(), false,
                                      parts_.events.last()};
  auto& journal = parts_.journal;
  auto note =
      journal.entry(proto::EntryKind::apply_unchanged, actor, candidate.request.reason, current.id);
  note.detail = detail_of(candidate);
  if (plan::gives_way(journal.progress())) {
    const auto former = *journal.progress().rollout;
    ledger::Batch batch;
    journal.withdraw_into(batch, actor, "what runs was applied again");
    batch.entries.push_back(std::move(note));
    HF_TRY(journal.advance(plan::withdraw(journal.progress()), std::move(batch)));
    announcer_.superseded(former);
  } else {
    HF_TRY(journal.commit({.entries = {std::move(note)}}));
  }
  return accepted;
}

Result<proto::api::Accepted> Applies::accept(const Candidate& candidate, proto::Deployment wanted,
                                             const Actor& actor, plan::Trigger trigger) {
  const auto& request = candidate.request;
  auto& journal = parts_.journal;
  const auto since = parts_.events.last();
  if (auto reserved = reserve_ports(parts_, &wanted); !reserved) {
    parts_.counters.count(reserved.error());
    return std::move(reserved)
        .error()
        .in("publish the ports of " + wanted.name)
        .hint("free the port or publish another one");
  }
  const auto way_back = rollbacks_.target(0);
  parts_.ports.images.retain(
      holders(parts_, way_back ? std::optional{*way_back} : std::nullopt, &wanted));
  const auto id = parts_.generations.next();
  auto next = plan::begin_rollout(plan::withdraw(journal.progress()), id, trigger, actor,
                                  request.reason, parts_.ports.clock.boot());
  next.rollout->now = request.now;
  if (trigger != plan::Trigger::source) next.source.reset();
  auto note = journal.entry(proto::EntryKind::accepted, actor, request.reason, {});
  note.generation = id.value();
  note.spec_digest = wanted.spec_digest;
  note.detail = detail_of(candidate);
  ledger::Batch batch;
  const auto former = plan::gives_way(journal.progress()) ? journal.progress().rollout
                                                          : std::optional<plan::Rollout>{};
  journal.withdraw_into(batch, actor, fmt::format("by generation {} before it began", id.value()));
  batch.entries.push_back(std::move(note));
  batch.generation = ledger::NewGeneration{id,    wanted.spec_digest, request.document,
                                           actor, request.reason,     parts_.ports.clock.wall()};
  proto::api::Accepted accepted{id.value(), wanted.spec_digest.str(), true, since,
                                plan::host_warnings(wanted, candidate.host)};
  auto stopped = plan::stop_warnings(journal.progress(), wanted);
  std::move(stopped.begin(), stopped.end(), std::back_inserter(accepted.warnings));
  // Beforehand: a commit in doubt takes effect when the disk answers, and then it is needed.
  const auto& ledger = parts_.ports.ledger;
  if (!ledger.in_doubt()) parts_.generations.remember(id, std::move(wanted));
  if (auto taken = journal.advance(std::move(next), std::move(batch)); !taken) {
    if (!ledger.in_doubt()) parts_.generations.forget_document(id);
    return std::move(taken).error();
  }
  forget_failures(parts_.observed);
  if (former) announcer_.superseded(*former);
  return accepted;
}

Result<UnfinishedPlan> Applies::plan(Candidate candidate) {
  HF_ASSIGN(const auto wanted, admit(candidate));
  const auto& progress = parts_.journal.progress();
  const auto effective = parts_.journal.effective();
  const auto current = parts_.generations.document(effective);
  proto::api::PlanReport report;
  report.from = effective.value();
  report.spec_digest = wanted.spec_digest.str();
  report.changes = !current || current->spec_digest != wanted.spec_digest;
  report.to = report.changes ? parts_.generations.next().value() : report.from;
  if (report.changes) {
    plan::add_hooks(wanted, proto::HookStage::before, report.hooks);
    plan::add_hooks(wanted, proto::HookStage::after, report.hooks);
  }
  const auto& host = candidate.host;
  std::set<std::string> absent;
  for (const auto& [name, service] : proto::containers(wanted))
    if (!host.images.contains(service->image.digest)) absent.insert(service->image.str());
  report.images_to_pull.assign(absent.begin(), absent.end());
  add_warnings(candidate.request, wanted, report);
  if (!parts_.options.config.source.trust.empty() && !candidate.request.break_glass)
    report.warnings.push_back(
        "this host runs signed documents only: publish it, or apply it with --break-glass");
  auto of_host = plan::host_warnings(wanted, host);
  std::move(of_host.begin(), of_host.end(), std::back_inserter(report.warnings));
  auto stopped = plan::stop_warnings(progress, wanted);
  std::move(stopped.begin(), stopped.end(), std::back_inserter(report.warnings));
  return UnfinishedPlan{[report = std::move(report), current, wanted, progress]() mutable {
    report.steps = plan::compare(current.get(), wanted, progress.start_times);
    plan::mark_stopped(progress, report.steps);
    return std::move(report);
  }};
}

void Applies::add_warnings(const proto::api::ApplyRequest& request, const proto::Deployment& wanted,
                           proto::api::PlanReport& report) {
  const auto& progress = parts_.journal.progress();
  auto& warnings = report.warnings;
  if (progress.rollout) {
    const auto under_way = progress.rollout->target.value();
    const auto* stays = plan::is_waiting(progress) ? "waits" : "is being fetched";
    warnings.push_back(
        plan::gives_way(progress)
            ? fmt::format("takes the place of generation {}, which {}", under_way, stays)
            : fmt::format("generation {} is being rolled out", under_way));
  }
  if (!report.changes) return;
  if (const auto& hold = progress.hold)
    warnings.push_back(fmt::format("changes are held by {}{}: {}", hold->actor,
                                   hold->until ? " until " + to_rfc3339(*hold->until) : "",
                                   hold->reason));
  const auto before = parts_.generations.document(parts_.journal.effective());
  const auto windows = plan::windows_between(before.get(), wanted);
  const auto now = parts_.ports.clock.wall();
  const auto& zones = parts_.generations.zones();
  const auto opening = plan::next_common(windows, zones, now);
  if (request.now || opening.at == now) return;
  warnings.push_back(opening.at ? "will begin in its window, at " +
                                      plan::local_text(*opening.at, windows, zones)
                                : "will not begin: " + opening.why_not);
}

}  // namespace holdfast::deploy::engine
