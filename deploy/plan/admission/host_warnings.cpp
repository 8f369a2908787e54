#include "deploy/plan/admission/host_warnings.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "common/base/text.hpp"
#include "proto/deployment/rules.hpp"

namespace holdfast::deploy::plan {
namespace {

using proto::NetworkMode;
using proto::Service;

bool is_covered(const Service& service, const std::string& path) {
  const auto holds = [&](const auto& mount) {
    return proto::rules::is_at_or_below(path, mount.target);
  };
  return std::any_of(service.volumes.begin(), service.volumes.end(), holds) ||
         std::any_of(service.tmpfs.begin(), service.tmpfs.end(), holds);
}

/// "/var/lib/postgresql/data" of db → "db-data".
std::string volume_name(const proto::ServiceName& service, const std::string& path) {
  for (const auto& ending : {path.substr(path.rfind('/') + 1), std::string{"data"}}) {
    const auto name = fmt::format("{}-{}", service.str(), ending);
    if (!ending.empty() && proto::rules::is_item_name(name)) return name;
  }
  return service.str();
}

std::string uncovered(const proto::ServiceName& name, const Service& service,
                      const std::string& path) {
  return fmt::format(
      "{}: its image keeps data in {} (VOLUME) and no volume covers it: {}; add volumes: "
      "[{{source: {}, target: {}}}]",
      name.str(), printable(path),
      service.security.read_only ? "nothing can be written there"
                                 : "what it writes there is lost with each update",
      volume_name(name, path), printable(path));
}

void warn_of_names(const proto::Deployment& wanted, std::vector<std::string>& out) {
  std::vector<std::string> names;
  for (const auto& [name, service] : proto::containers(wanted))
    if (service->network == NetworkMode::isolated && service->names.servers.empty())
      names.push_back(name.str());
  if (names.empty()) return;
  out.push_back(fmt::format(
      "{}: no name server, as every one in this host's /etc/resolv.conf listens on loopback, which "
      "containers do not reach; write dns: [ADDRESS], or let the resolver listen on an address of "
      "the host too",
      fmt::join(names, ", ")));
}

bool is_of_host(const std::string& published, const HostView& host) {
  constexpr Address kLoopbackNet = 127;
  const auto address = proto::rules::parse_ipv4(published);
  return !address || *address == 0 || *address >> 24 == kLoopbackNet ||
         host.addresses.contains(*address);
}

void warn_of_addresses(const proto::Deployment& wanted, const HostView& host,
                       std::vector<std::string>& out) {
  for (const auto& [name, service] : wanted.services)
    for (const auto& port : service.publish)
      if (!is_of_host(port.host_ip, host))
        out.push_back(
            fmt::format("{}: {} is no address of this host now; port {} leads to it once it is",
                        name.str(), port.host_ip, port.host_port));
}

}  // namespace

std::vector<std::string> host_warnings(const proto::Deployment& wanted, const HostView& host) {
  std::vector<std::string> out;
  if (!host.has_name_server) warn_of_names(wanted, out);
  for (const auto& [name, what] : host.lacks)
    out.push_back(fmt::format("{}: it will not start here: {}", name.str(), what));
  if (!host.addresses.empty()) warn_of_addresses(wanted, host, out);
  for (const auto& [name, service] : proto::containers(wanted)) {
    const auto image = host.images.find(service->image.digest);
    if (image == host.images.end()) continue;
    for (const auto& path : image->second.volumes)
      if (!is_covered(*service, path)) out.push_back(uncovered(name, *service, path));
  }
  return out;
}

}  // namespace holdfast::deploy::plan
