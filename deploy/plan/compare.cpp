#include <fmt/format.h>

#include "deploy/plan/plan.hpp"

namespace holdfast::deploy::plan {
namespace {

std::string downtime(const proto::Service& wanted) {
  return fmt::format(
      "stopped before the new one starts ({}): down for up to its stop timeout of {} s plus its "
      "start",
      wanted.update.strategy_reason,
      std::chrono::duration_cast<std::chrono::seconds>(wanted.stop.timeout).count());
}

proto::api::PlanStep step_for(const ServiceName& name, const proto::Service* old,
                              const proto::Service& wanted) {
  proto::api::PlanStep step;
  step.service = name.str();
  step.relaxations = wanted.security.relaxations;
  if (old == nullptr) {
    step.change = "create";
  } else if (old->run_hash != wanted.run_hash) {
    const bool replace = wanted.update.strategy == proto::Strategy::replace;
    step.change = replace ? "replace" : "cutover";
    step.reason = replace ? downtime(wanted) : "started beside the old one, no downtime";
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
                                          const proto::Deployment& after) {
  std::vector<proto::api::PlanStep> steps;
  for (const auto& [name, wanted] : after.services) {
    const proto::Service* old = nullptr;
    if (before != nullptr) {
      if (const auto found = before->services.find(name); found != before->services.end())
        old = &found->second;
    }
    steps.push_back(step_for(name, old, wanted));
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

}  // namespace holdfast::deploy::plan
