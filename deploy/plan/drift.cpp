#include <fmt/format.h>

#include <algorithm>

#include "deploy/plan/plan.hpp"
#include "deploy/plan/planner.hpp"

namespace holdfast::deploy::plan {
namespace {

using proto::DriftAction;
using proto::DriftKind;

/// How each kind is put right.
std::string_view repair_of(DriftKind kind, bool in_place) {
  if (in_place && kind == DriftKind::network) return "its namespace is pinned again";
  switch (kind) {
    case DriftKind::missing:
    case DriftKind::unsupervised:
    case DriftKind::wrong_run_hash:
    case DriftKind::wrong_image:
    case DriftKind::network:
    case DriftKind::writes:
      return "a new instance takes its place";
    case DriftKind::exited:
      return "its process is started again";
    case DriftKind::frozen:
      return "it is thawed";
    case DriftKind::limits:
      return "the declared limits are written again";
    case DriftKind::mounts:
    case DriftKind::secret:
    case DriftKind::config:
      return "its process is restarted";
    case DriftKind::publish:
      return "the table is written again";
    case DriftKind::foreign_process:
      return "the process is killed";
    case DriftKind::layer_damaged:
      return "the layer is fetched again";
    case DriftKind::orphan:
      return "it is stopped and removed";
  }
  return "";
}

std::string next_of(DriftKind kind, DriftAction action, std::string_view by_restart_rule,
                    bool in_place) {
  if (!by_restart_rule.empty()) return std::string{by_restart_rule};
  switch (action) {
    case DriftAction::repair:
      return std::string{repair_of(kind, in_place)};
    case DriftAction::report:
      return fmt::format("with \"drift.{}: repair\", {}", proto::to_string(kind),
                         repair_of(kind, in_place));
    case DriftAction::hold:
      return "changes are held until: holdfast resume";
  }
  return {};
}

/// Collects differences with what is done about them.
class Classifier {
 public:
  Classifier(const Progress& progress, const Observed& observed, const Settings& settings,
             const proto::Deployment& current)
      : progress_(progress), observed_(observed), settings_(settings), current_(current) {}

  std::vector<Drift> run() {
    for (const auto& [name, wanted] : current_.services) {
      if (!observed_.is_changing(name, progress_)) service(name, wanted);
    }
    routes();
    orphans();
    std::sort(out_.begin(), out_.end());
    return std::move(out_);
  }

 private:
  void add(std::string service, DriftKind kind, std::string evidence,
           std::string_view by_restart_rule = {}, bool in_place = false) {
    auto action = proto::drift_action(kind, settings_.drift, current_.drift);
    if (!by_restart_rule.empty()) action = DriftAction::report;
    // One line for a kind: what it is about comes first, the rest is counted with it.
    if (!out_.empty() && out_.back().service == service && out_.back().kind == kind) {
      out_.back().evidence += "; " + evidence;
      return;
    }
    out_.push_back({std::move(service), kind, std::move(evidence), action,
                    next_of(kind, action, by_restart_rule, in_place)});
  }

  void service(const ServiceName& name, const proto::Service& wanted) {
    if (progress_.stopped.contains(name)) return;
    const auto serving = progress_.serving.find(name);
    const auto found = serving == progress_.serving.end()
                           ? observed_.instances.end()
                           : observed_.instances.find(serving->second);
    const bool runs = found != observed_.instances.end() &&
                      found->second.seen.state != InstanceState::exited &&
                      found->second.seen.state != InstanceState::broken &&
                      found->second.seen.state != InstanceState::creating;
    if (!runs && completed_at(progress_, name, wanted)) return;
    if (!runs && comes_back(name, found)) return;
    if (found == observed_.instances.end())
      return add(name.str(), DriftKind::missing, "no instance exists");
    const auto& seen = found->second.seen;
    identity(name, wanted, seen);
    state(name, wanted, seen);
    for (const auto& deviation : seen.deviations)
      add(name.str(), deviation.kind, deviation.evidence, {}, deviation.in_place);
  }

  using Found = std::map<InstanceId, InstanceView>::const_iterator;

  /// The host went down with it, which is no difference as long as nothing keeps it from being made
  /// again.
  [[nodiscard]] bool comes_back(const ServiceName& name, Found found) const {
    return found != observed_.instances.end() && found->second.seen.earlier_boot &&
           !observed_.job_failures.contains(name);
  }

  void identity(const ServiceName& name, const proto::Service& wanted,
                const ObservedInstance& seen) {
    if (seen.run_hash != wanted.run_hash)
      add(name.str(), DriftKind::wrong_run_hash,
          fmt::format("runs {}, declared {}", seen.run_hash.short_hex(),
                      wanted.run_hash.short_hex()));
    const auto image = observed_.images.find(wanted.image.digest);
    const bool same_index = seen.image == wanted.image.digest;
    const bool same_manifest = image != observed_.images.end() && image->second.manifest &&
                               *image->second.manifest == seen.manifest;
    if (!same_index && !same_manifest)
      add(name.str(), DriftKind::wrong_image,
          fmt::format("runs {}, declared {}", seen.image.short_hex(),
                      wanted.image.digest.short_hex()));
    if (image != observed_.images.end() && image->second.state == ImageView::State::missing &&
        image->second.error && image->second.error->code() == Errc::layer_corrupt)
      add(name.str(), DriftKind::layer_damaged, image->second.error->what());
  }

  void state(const ServiceName& name, const proto::Service& wanted, const ObservedInstance& seen) {
    switch (seen.state) {
      case InstanceState::exited:
        return add(name.str(), DriftKind::exited,
                   seen.exit ? fmt::format("exit code {}", seen.exit->code) : "the process is gone",
                   wanted.restart == proto::Restart::never
                       ? "reported only: the document says restart: no"
                       : "");
      case InstanceState::frozen:
        return add(name.str(), DriftKind::frozen, "its cgroup is frozen");
      case InstanceState::unsupervised:
        return add(name.str(), DriftKind::unsupervised, "conmon is gone");
      case InstanceState::broken:
      case InstanceState::creating:
        return add(name.str(), DriftKind::missing, "the instance is incomplete");
      case InstanceState::running:
        return;
    }
  }

  void routes() {
    if (is_just_booted(observed_)) return;  // the table is yet to be written
    if (!observed_.routing) {
      add("", DriftKind::publish, "the nftables table is missing or was altered");
    } else if (*observed_.routing != wanted_routes(progress_, observed_)) {
      add("", DriftKind::publish,
          "published ports or service addresses differ from what is declared");
    }
  }

  void orphans() {
    const auto needed = instances_in_use(progress_);
    for (const auto& [id, view] : observed_.instances) {
      const auto changing = observed_.busy.find(view.seen.service);
      const bool being_made = changing != observed_.busy.end() && changing->second == id;
      if (!needed.contains(id) && !progress_.released.contains(id) && !being_made)
        add(view.seen.service.str(), DriftKind::orphan,
            "instance " + id.str() + " belongs to nothing");
    }
  }

  const Progress& progress_;
  const Observed& observed_;
  const Settings& settings_;
  const proto::Deployment& current_;
  std::vector<Drift> out_;
};

}  // namespace

std::string Drift::key() const { return fmt::format("{}/{}", service, proto::to_string(kind)); }

std::vector<Drift> classify(const Progress& progress, const Observed& observed,
                            const Settings& settings) {
  // What only fetches or waits changes nothing: detection goes on.
  const auto current = observed.documents.find(effective_generation(progress));
  if (has_begun(progress) || current == observed.documents.end()) return {};
  return Classifier{progress, observed, settings, *current->second}.run();
}

bool Planner::repairs(DriftKind kind) const {
  const auto* known = document(effective_generation(out_.progress));
  static const proto::DriftPolicy kSilent;
  return proto::drift_action(kind, settings_.drift, known == nullptr ? kSilent : known->drift) ==
         DriftAction::repair;
}

/// Drift whose policy is `hold` puts a hold in place, once for as long as it lasts: who resumes has
/// seen it.
void Planner::hold_for_drift() {
  const auto holds = [](const proto::DriftPolicy& policy) {
    return policy.fallback == DriftAction::hold ||
           std::any_of(policy.kinds.begin(), policy.kinds.end(),
                       [](const auto& row) { return row.second == DriftAction::hold; });
  };
  const auto* known = document(effective_generation(out_.progress));
  const bool any = holds(settings_.drift) || (known != nullptr && holds(known->drift));
  if (has_begun(out_.progress) || (!any && state().held_for.empty())) return;
  std::set<std::string> now;
  for (const auto& drift : classify(out_.progress, observed_, settings_)) {
    if (drift.action != DriftAction::hold) continue;
    now.insert(drift.key());
    if (state().held_for.contains(drift.key()) || state().hold) continue;
    const auto reason =
        fmt::format("drift {} of {}: {}", proto::to_string(drift.kind),
                    drift.service.empty() ? "the host" : drift.service, drift.evidence);
    state().hold = Hold{"agent", reason, observed_.wall, {}};
    note(proto::EntryKind::held, state().current, reason,
         {{"kind", std::string{proto::to_string(drift.kind)}}}, drift.service);
  }
  state().held_for = std::move(now);
}

}  // namespace holdfast::deploy::plan
