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

CandidateReader::CandidateReader(image::Images& images, const Options& options)
    : images_(images),
      has_name_server_(options.has_name_server),
      host_gives_(options.host_gives),
      host_addresses_(options.host_addresses) {}

Candidate CandidateReader::read(proto::api::ApplyRequest request) const {
  auto candidate = read_candidate(std::move(request));
  if (candidate.document) candidate.host = host_of(*candidate.document);
  return candidate;
}

plan::HostView CandidateReader::host_of(const proto::Deployment& wanted) const {
  plan::HostView host;
  if (has_name_server_) host.has_name_server = has_name_server_();
  if (host_addresses_) host.addresses = host_addresses_();
  std::set<proto::Digest> absent;
  for (const auto& [name, service] : proto::containers(wanted)) {
    if (host_gives_)
      if (auto given = host_gives_(*service); !given)
        host.lacks.emplace(name,
                           fmt::format("{}; {}", given.error().what(), given.error().next_step()));
    const auto& digest = service->image.digest;
    if (host.images.contains(digest) || absent.contains(digest)) continue;
    if (auto found = images_.find(digest)) {
      host.images.emplace(digest, std::move(found->config));
    } else {
      absent.insert(digest);
    }
  }
  return host;
}

StoredDocument read_stored(std::string_view text, std::uint64_t generation) {
  StoredDocument read{proto::load_deployment(text, fmt::format("generation {}", generation))};
  if (read.document) read.zones_known = add_zones(*read.document, read.zones);
  return read;
}

std::map<std::string, std::string> detail_of(const Candidate& candidate) {
  auto detail = candidate.evidence;
  if (candidate.request.now) detail["now"] = "yes";
  if (candidate.request.break_glass) detail["break_glass"] = "yes";
  return detail;
}

}  // namespace holdfast::deploy::engine
