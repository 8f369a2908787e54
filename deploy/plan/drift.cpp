#include <fmt/format.h>

#include <algorithm>

#include "deploy/plan/plan.hpp"

namespace holdfast::deploy::plan {
namespace {

void classify_service(const ServiceName& name, const proto::Service& wanted,
                      const Progress& progress, const Observed& observed, std::vector<Drift>& out) {
  const auto report = [&](const char* kind, std::string evidence, const char* action = "repair") {
    out.push_back({name.str(), kind, std::move(evidence), action});
  };
  const auto serving = progress.serving.find(name);
  const auto found = serving == progress.serving.end() ? observed.instances.end()
                                                       : observed.instances.find(serving->second);
  if (found == observed.instances.end()) return report("missing", "no instance exists");
  const auto& seen = found->second.seen;
  if (seen.run_hash != wanted.run_hash)
    report("wrong_run_hash", fmt::format("runs {}, declared {}", seen.run_hash.short_hex(),
                                         wanted.run_hash.short_hex()));
  const auto image = observed.images.find(wanted.image.digest);
  const bool same_index = seen.image == wanted.image.digest;
  const bool same_manifest = image != observed.images.end() && image->second.manifest &&
                             *image->second.manifest == seen.manifest;
  if (!same_index && !same_manifest)
    report("wrong_image", fmt::format("runs {}, declared {}", seen.image.short_hex(),
                                      wanted.image.digest.short_hex()));
  if (image != observed.images.end() && image->second.state == ImageView::State::missing &&
      image->second.error && image->second.error->code() == Errc::layer_corrupt)
    report("layer_damaged", image->second.error->what());
  switch (seen.state) {
    case InstanceState::exited:
      report("exited",
             seen.exit ? fmt::format("exit code {}", seen.exit->code) : "the process is gone",
             wanted.restart == proto::Restart::never ? "report" : "repair");
      break;
    case InstanceState::frozen:
      report("frozen", "its cgroup is frozen");
      break;
    case InstanceState::unsupervised:
      report("unsupervised", "conmon is gone");
      break;
    case InstanceState::broken:
    case InstanceState::creating:
      report("missing", "the instance is incomplete");
      break;
    case InstanceState::running:
      break;
  }
  for (const auto& deviation : seen.deviations) {
    const auto colon = deviation.find(':');
    report(deviation.compare(0, colon, "mounts") == 0    ? "mounts"
           : deviation.compare(0, colon, "network") == 0 ? "network"
                                                         : "limits",
           colon == std::string::npos ? deviation : deviation.substr(colon + 2), "report");
  }
}

}  // namespace

const std::vector<std::string>& drift_kinds() {
  static const std::vector<std::string> kinds{
      "missing", "exited",  "frozen",  "wrong_run_hash", "wrong_image", "limits",
      "mounts",  "network", "publish", "unsupervised",   "orphan",      "layer_damaged"};
  return kinds;
}

std::vector<Drift> classify(const Progress& progress, const Observed& observed) {
  std::vector<Drift> out;
  // What only fetches or waits changes nothing: detection goes on.
  const auto current = observed.documents.find(in_force(progress));
  if (has_begun(progress) || current == observed.documents.end()) return out;
  for (const auto& [name, wanted] : current->second->services) {
    if (!observed.busy.contains(name)) classify_service(name, wanted, progress, observed, out);
  }
  const auto wanted = wanted_routes(progress, observed);
  if (!observed.routing) {
    out.push_back({"", "publish", "the nftables table is missing or was altered", "repair"});
  } else if (*observed.routing != wanted) {
    out.push_back({"", "publish",
                   "published ports or service addresses differ from what is declared", "repair"});
  }
  std::set<InstanceId> serving;
  for (const auto& [name, id] : progress.serving) serving.insert(id);
  for (const auto& each : progress.aftermath) serving.insert(each.hooks.id);
  if (progress.rehearsal) {
    for (const auto& [name, id] : progress.rehearsal->instances) serving.insert(id);
  }
  for (const auto& [id, view] : observed.instances) {
    const bool serves = serving.contains(id);
    if (!serves && !progress.retired.contains(id) && !observed.busy.contains(view.seen.service))
      out.push_back({view.seen.service.str(), "orphan",
                     "instance " + id.str() + " belongs to nothing", "repair"});
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace holdfast::deploy::plan
