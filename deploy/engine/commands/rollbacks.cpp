#include "deploy/engine/commands/rollbacks.hpp"

#include <fmt/format.h>

#include <map>
#include <utility>

#include "common/log/log.hpp"
#include "deploy/plan/recovery.hpp"
#include "deploy/runtime/storage/config_files.hpp"
#include "deploy/runtime/storage/host_rules.hpp"
#include "deploy/runtime/storage/service_mounts.hpp"

namespace holdfast::deploy::engine {

plan::RollbackFacts Rollbacks::facts() const {
  plan::RollbackFacts facts{.generations = {},
                            .quarantined = {},
                            .withdrawn = {},
                            .effective = parts_.journal.effective()};
  facts.generations.reserve(parts_.generations.rows().size());
  for (const auto& row : parts_.generations.rows())
    facts.generations.push_back({row.id, row.spec_digest, row.ever_good});
  for (const auto& [digest, row] : parts_.quarantine.rows()) {
    facts.quarantined.insert(digest);
    if (row.evidence.contains(std::string{plan::kWithdrawn})) facts.withdrawn.insert(digest);
  }
  return facts;
}

Result<GenerationId> Rollbacks::target(std::uint64_t wanted) const {
  return plan::rollback_target(facts(), wanted);
}

Status Rollbacks::check_local(GenerationId id) {
  const auto known = parts_.generations.document(id);
  if (!known)
    return Error{
        Errc::not_found,
        fmt::format("the document of generation {} cannot be read from the ledger", id.value())}
        .hint("`holdfast ledger verify` says what is wrong with it");
  for (const auto& [name, service] : known->services) {
    if (auto found = parts_.ports.images.look(service.image.digest); !found)
      return std::move(found)
          .error()
          .in(fmt::format("generation {} is not ready: image of {}", id.value(), name.str()))
          .hint("apply its document again while the registry can be reached");
  }
  return ok();
}

void Rollbacks::prepare(std::uint64_t wanted, std::function<void()> then) {
  const auto chosen = target(wanted);
  if (!chosen) return then();  // which the command itself will say
  parts_.generations.with_document(*chosen, std::move(then));
}

RollbackIntent Rollbacks::intent(GenerationId target, const Actor& actor,
                                 const std::string& reason) const {
  return {parts_.journal.effective().value(), target.value(), actor, reason,
          parts_.ports.clock.wall()};
}

/// A rollback of the rollout under way: the next decisions turn it back.
Result<proto::api::Accepted> Rollbacks::turn_back(const proto::api::RollbackRequest& request,
                                                  const Actor& actor) {
  const auto& progress = parts_.journal.progress();
  const auto since = parts_.events.last();
  const auto from = progress.rollout->from;
  if (progress.rollout->phase != plan::Phase::reverting) {
    auto next = plan::abandon_rollout(progress, actor, request.reason, parts_.ports.clock.boot());
    ledger::Batch batch;
    batch.entries.push_back(
        parts_.journal.entry(proto::EntryKind::rollback_started, actor, request.reason, from));
    parts_.journal.advance_regardless(std::move(next), intent(from, actor, request.reason),
                                      std::move(batch));
  }
  parts_.attention.mark_changed();
  return accepted(from, {}, since);
}

Result<proto::api::Accepted> Rollbacks::rollback(const proto::api::RollbackRequest& request,
                                                 const Actor& actor) {
  parts_.observed.rollback_led = false;
  const auto& progress = parts_.journal.progress();
  const auto since = parts_.events.last();
  HF_ASSIGN(const auto choice, plan::choose_rollback(progress, facts(), request.to));
  if (choice.turns_back) return turn_back(request, actor);
  const auto chosen = choice.target;
  HF_TRY(check_local(chosen));
  HF_TRY(reserve_ports(parts_, parts_.generations.document(chosen).get()));
  auto next = plan::begin_rollout(plan::withdraw(progress), chosen, plan::Trigger::rollback, actor,
                                  request.reason, parts_.ports.clock.boot());
  const auto digest = parts_.generations.find(chosen)->spec_digest;
  ledger::Batch batch;
  parts_.journal.withdraw_into(batch, actor, "a rollback came before it began");
  rollback_into(batch, parts_.journal.effective(), chosen, actor, request.reason);
  // What was seen last is good enough to begin with; the host is looked at again after the first
  // step.
  parts_.journal.advance_regardless(std::move(next), intent(chosen, actor, request.reason),
                                    std::move(batch));
  return accepted(chosen, digest.str(), since);
}

/// It is on its way; where the ledger did not take it, with what that means.
proto::api::Accepted Rollbacks::accepted(GenerationId target, std::string digest,
                                         std::uint64_t since) const {
  proto::api::Accepted accepted{target.value(), std::move(digest), true, since};
  if (const auto known = parts_.generations.document(target))
    accepted.warnings = plan::stop_warnings(parts_.journal.progress(), *known);
  const auto& refusal = parts_.journal.refusal();
  if (parts_.journal.unjournaled() && refusal)
    accepted.warnings.push_back(fmt::format(
        "this rollback is not in the ledger yet ({}); it outlives the agent, but a reboot "
        "or a power cut before it is recorded undoes it: {}",
        refusal->fault, refusal->next));
  return accepted;
}

/// What an operator's rollback records: the request, and that what runs until now is quarantined.
void Rollbacks::rollback_into(ledger::Batch& batch, GenerationId from, GenerationId target,
                              const std::string& actor, const std::string& reason) {
  const auto& journal = parts_.journal;
  batch.entries.push_back(journal.entry(proto::EntryKind::rollback_started, actor, reason, target));
  const auto digest = parts_.generations.find(target)->spec_digest;
  if (const auto* row = parts_.generations.find(from);
      row != nullptr && row->spec_digest != digest) {
    auto evidence = parts_.quarantine.evidence_of(row->spec_digest);
    evidence["rolled_back_to"] = std::to_string(target.value());
    batch.quarantine.push_back(
        {row->spec_digest, actor, reason, parts_.ports.clock.wall(), std::move(evidence), {}});
    batch.entries.push_back(journal.entry(proto::EntryKind::quarantined, actor, reason, row->id));
  }
  if (parts_.quarantine.contains(digest)) {
    batch.release.push_back(digest);
    batch.entries.push_back(
        journal.entry(proto::EntryKind::released, actor, "chosen as rollback target", target));
  }
}

Result<UnfinishedPlan> Rollbacks::plan(const proto::api::RollbackRequest& request) {
  HF_ASSIGN(const auto choice,
            plan::choose_rollback(parts_.journal.progress(), facts(), request.to));
  const auto chosen = choice.target;
  HF_TRY(check_local(chosen));
  const auto known = parts_.generations.document(chosen);
  // What a rollback ends: a rollout under way, else what is in force.
  const auto ended =
      choice.turns_back ? parts_.journal.progress().rollout->target : parts_.journal.effective();
  const auto current = parts_.generations.document(ended);
  proto::api::PlanReport report;
  report.from = ended.value();
  report.to = chosen.value();
  report.spec_digest = known->spec_digest.str();
  report.changes = true;
  if (current) {
    plan::add_hooks(*current, proto::HookStage::on_rollback, report.hooks);
    report.warnings.push_back(
        fmt::format("the document of generation {} will be quarantined", report.from));
  }
  return UnfinishedPlan{
      [report = std::move(report), current, known, progress = parts_.journal.progress()]() mutable {
        report.steps = plan::compare(current.get(), *known, progress.start_times);
        plan::mark_completed(progress, *known, report.steps);
        plan::mark_stopped(progress, report.steps);
        return std::move(report);
      }};
}

void Rollbacks::resume_intent() {
  auto& journal = parts_.journal;
  const auto left = journal.left_intent();
  if (!left) return;
  const GenerationId target{left->target};
  if (parts_.generations.find(target) == nullptr) {
    log::error("event=intent_unusable generation={}", left->target);
    return journal.forget_intent();
  }
  parts_.generations.read_document(target);
  auto resumed = plan::resume_rollback(journal.progress(), target, left->actor, left->reason,
                                       parts_.ports.clock.boot());
  if (!resumed) return journal.forget_intent();
  ledger::Batch batch;
  if (resumed->superseded)
    journal.supersede_into(batch, *resumed->superseded, "agent", std::string{kOvertaken});
  rollback_into(batch, GenerationId{left->from}, target, left->actor, left->reason);
  for (auto& each : batch.entries) each.time = left->time;
  journal.advance_regardless(std::move(resumed->progress), *left, std::move(batch));
  if (!journal.unjournaled()) journal.forget_intent();
  parts_.observed.rollback_led = true;
  parts_.attention.mark_changed();
}

void Rollbacks::refresh_if_changed() {
  if (refreshed_at_ != std::pair{parts_.generations.revision(), parts_.quarantine.revision()})
    refresh();
}

void Rollbacks::refresh() {
  refreshed_at_ = {parts_.generations.revision(), parts_.quarantine.revision()};
  const auto before = std::exchange(readiness_, {}).generation;
  ready_generations_ = 0;
  for (const auto& way : plan::ways_back(facts())) {
    if (ready_generations_ < parts_.options.config.retain && check_local(way.id))
      ++ready_generations_;
  }
  const auto chosen = target(0);
  if (!chosen) {
    readiness_.reason = chosen.error().what();
    return;
  }
  readiness_.generation = chosen->value();
  if (before != chosen->value()) host_fault_.clear();
  // One that has just become the way back, released from quarantine, say: the pass after has it.
  parts_.generations.fetch_document(*chosen);
  if (parts_.generations.reading() && !parts_.generations.document(*chosen)) {
    readiness_.reason = fmt::format("the document of generation {} is being read", chosen->value());
    return;
  }
  const auto local = check_local(*chosen);
  readiness_.ready = local.has_value();
  if (!local) {
    readiness_.reason = local.error().to_string();
  } else if (!host_fault_.empty()) {
    readiness_.ready = false;
    readiness_.reason = host_fault_;
  }
  look_at_host(*chosen);
}

/// What a generation needs of this host beside its images.
class Rollbacks::HostNeeds {
 public:
  HostNeeds(const proto::Deployment& document, const proto::AgentConfig& config,
            image::Images& images)
      : images_{images},
        rules_{proto::own_places(config)},
        secret_rule_{rules_.secret(config.allowed_secret_paths)},
        volume_rule_{rules_.volume(config.allowed_host_paths)},
        paths_{config.state_dir, config.run_dir} {
    for (const auto& [name, service] : document.services) {
      images_needed_.emplace(service.image.digest, "image of " + name.str());
      for (const auto& secret : service.secrets)
        secrets_.emplace(secret.file, fmt::format("secret {} of {}", secret.name, name.str()));
      for (const auto& file : service.configs)
        if (!file.file.empty())
          configs_.emplace(fmt::format("config {} of {}", file.target, name.str()), file);
      for (const auto& volume : service.volumes)
        if (volume.is_host_path())
          sources_.emplace(volume.source,
                           fmt::format("volume {} of {}", volume.target, name.str()));
    }
  }
  /// The first that is not there or not as it must be. May wait for a file system.
  [[nodiscard]] Status check() const {
    for (const auto& [digest, need] : images_needed_)
      if (auto found = images_.find(digest); !found) return std::move(found).error().in(need);
    for (const auto& [file, need] : secrets_)
      if (auto seen = runtime::check_host_file(file, secret_rule_); !seen)
        return std::move(seen).error().in(need);
    for (const auto& [path, need] : sources_)
      if (auto seen = runtime::check_volume_source(path, volume_rule_); !seen)
        return std::move(seen).error().in(need);
    for (const auto& [need, config] : configs_)
      if (auto seen = runtime::check_config(paths_, config, rules_.config()); !seen)
        return std::move(seen).error().in(need);
    return ok();
  }

 private:
  image::Images& images_;
  runtime::HostRules rules_;
  runtime::HostFileRule secret_rule_;
  runtime::HostPathRule volume_rule_;
  runtime::Paths paths_;
  std::map<proto::Digest, std::string> images_needed_;  // who needs it
  std::map<std::string, std::string> secrets_;          // by path: who needs it
  std::map<std::string, std::string> sources_;
  std::map<std::string, proto::ConfigFile> configs_;  // by who needs it
};

void Rollbacks::look_at_host(GenerationId id) {
  const auto known = parts_.generations.document(id);
  if (looking_ || !known) return;
  HostNeeds needs{*known, parts_.options.config, parts_.ports.images};
  looking_ = true;
  parts_.jobs.run(
      Jobs::Pool::probe,
      [this, id, needs = std::move(needs)](const std::stop_token&) -> std::function<void()> {
        std::string fault;
        if (auto seen = needs.check(); !seen)
          fault = std::move(seen)
                      .error()
                      .in(fmt::format("generation {} is not ready", id.value()))
                      .to_string();
        return [this, id, fault] { host_seen(id, fault); };
      });
}

void Rollbacks::host_seen(GenerationId id, const std::string& fault) {
  looking_ = false;
  if (readiness_.generation != id.value() || host_fault_ == fault) return;
  const bool by_files = readiness_.ready || readiness_.reason == host_fault_;
  host_fault_ = fault;
  if (!by_files) return;
  readiness_.ready = fault.empty();
  readiness_.reason = fault;
  parts_.attention.mark_changed();
}

}  // namespace holdfast::deploy::engine
