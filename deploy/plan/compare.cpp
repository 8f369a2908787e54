#include <fmt/format.h>

#include "common/base/text.hpp"
#include "deploy/plan/plan.hpp"

namespace holdfast::deploy::plan {
namespace {

using StartTimes = std::map<ServiceName, Milliseconds>;

/// Why the old one must go first, and for how long nobody answers.
std::string downtime(const ServiceName& name, const proto::Service& wanted,
                     const StartTimes& start_times) {
  const auto& why = wanted.update.strategy_reason;
  auto text = why == "written"        ? std::string{"as the document says"}
              : why == "host network" ? std::string{"host network, where both would want the same "
                                                    "ports"}
                                      : why + ", which both would write to";
  const auto stop = human_duration(wanted.stop.timeout);
  const auto known = start_times.find(name);
  if (known == start_times.end())
    return text + fmt::format(
                      ": down for its stop (at most {}) and its start (not measured yet; at "
                      "most {}, its deadline)",
                      stop, human_duration(wanted.update.deadline));
  return text + fmt::format(
                    ": down for at most {}: its stop (at most {}) and its start ({} last "
                    "time)",
                    human_duration(wanted.stop.timeout + known->second), stop,
                    human_duration(known->second));
}

std::string beside(const proto::Service& wanted) {
  std::string text = "started beside the old one, no downtime";
  for (const auto& volume : wanted.volumes) {
    if (!volume.read_only)
      text += fmt::format("; both write to volume {} until the old one has drained", volume.source);
  }
  return text;
}

proto::api::PlanStep step_for(const ServiceName& name, const proto::Service* old,
                              const proto::Service& wanted, const StartTimes& start_times) {
  proto::api::PlanStep step;
  step.service = name.str();
  step.relaxations = wanted.security.relaxations;
  if (old == nullptr) {
    step.change = "create";
  } else if (old->run_hash != wanted.run_hash) {
    const bool replace = wanted.update.strategy == proto::Strategy::replace;
    step.change = replace ? proto::api::PlanChange::replace : proto::api::PlanChange::cutover;
    step.reason = replace ? downtime(name, wanted, start_times) : beside(wanted);
  } else if (old->policy_hash != wanted.policy_hash) {
    step.change = "policy";
    step.reason = "takes effect without a restart";
  } else {
    step.change = "keep";
  }
  return step;
}

void attach_fields(const proto::Deployment* before, const proto::Deployment& after,
                   std::vector<proto::api::PlanStep>& steps) {
  if (before == nullptr) return;
  const auto changes = proto::diff_documents(before->canonical_json, after.canonical_json);
  if (!changes) return;
  for (auto& step : steps) {
    const std::string prefix = "services." + step.service + ".";
    for (const auto& change : *changes) {
      if (change.path.compare(0, prefix.size(), prefix) != 0 || step.change == "create" ||
          step.change == "remove")
        continue;
      step.fields.push_back(fmt::format("{}: {} → {}", change.path.substr(prefix.size()),
                                        change.before.empty() ? "(none)" : change.before,
                                        change.after.empty() ? "(none)" : change.after));
    }
  }
}

}  // namespace

std::vector<proto::api::PlanStep> compare(const proto::Deployment* before,
                                          const proto::Deployment& after,
                                          const StartTimes& start_times) {
  std::vector<proto::api::PlanStep> steps;
  for (const auto& [name, wanted] : after.services) {
    const proto::Service* old = nullptr;
    if (before != nullptr) {
      if (const auto found = before->services.find(name); found != before->services.end())
        old = &found->second;
    }
    steps.push_back(step_for(name, old, wanted, start_times));
  }
  if (before != nullptr) {
    for (const auto& [name, old] : before->services) {
      if (!after.services.contains(name))
        steps.push_back({name.str(), "remove", "no longer declared", {}, {}});
    }
  }
  attach_fields(before, after, steps);
  return steps;
}

void add_hooks(const proto::Deployment& document, proto::HookStage stage,
               std::vector<proto::api::PlanHook>& hooks) {
  for (const auto& hook : document.hooks.of(stage))
    hooks.push_back({stage, hook.name.str(), hook.service.image.str(),
                     "within " + human_duration(hook.deadline), hook.service.security.relaxations});
}

}  // namespace holdfast::deploy::plan
