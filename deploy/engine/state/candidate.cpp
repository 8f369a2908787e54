#include "deploy/engine/state/candidate.hpp"

#include <fmt/format.h>

#include "common/os/time_zone.hpp"

namespace holdfast::deploy::engine {

Status add_zones(const proto::Deployment& document, plan::Zones& zones) {
  for (const auto& [name, service] : document.services) {
    const auto& window = service.update.window;
    if (!window || zones.contains(window->zone)) continue;
    auto zone = os::load_time_zone(window->zone);
    if (!zone)
      return std::move(zone).error().in(fmt::format("services.{}.update.window", name.str()));
    zones.emplace(window->zone, std::move(zone).value());
  }
  return ok();
}

Candidate read_candidate(proto::api::ApplyRequest request) {
  const auto name = request.file.empty() ? std::string{"deployment"} : request.file;
  auto document = proto::load_deployment(request.document, name);
  Candidate read{std::move(request), std::move(document)};
  if (!read.document) return read;
  if (auto known = add_zones(*read.document, read.zones); !known)
    read.document = std::move(known).error();
  return read;
}

StoredDocument read_stored(std::string_view text, std::uint64_t generation) {
  StoredDocument read{proto::load_deployment(text, fmt::format("generation {}", generation))};
  if (read.document) read.zones_known = add_zones(*read.document, read.zones);
  return read;
}

}  // namespace holdfast::deploy::engine
