#pragma once
/// \file
/// /etc/hosts, /etc/hostname and /etc/resolv.conf of an instance: regular files in its bundle,
/// bound read-only.

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"
#include "deploy/runtime/record/record.hpp"

namespace holdfast::deploy::runtime {

/// Names that containers can resolve: service → its stable virtual address.
using HostsTable = std::map<std::string, Address>;

/// Who an instance is, for /etc/hosts.
struct HostsOwner {
  std::string hostname;
  Address own = 0;                             ///< 0: no address of its own
  Address gateway = 0;                         ///< of the host, as the instance reaches it
  std::map<std::string, std::string> extra{};  ///< as `proto::NameRule::hosts`
};

/// Loopback, the instance itself, what the document adds, then every service by name that is not
/// among these. Pure.
[[nodiscard]] std::string hosts_text(const HostsOwner& owner, const HostsTable& services);

/// The host's resolv.conf for a container: loopback name servers, which it cannot reach, are left
/// out. Pure.
struct ResolvText {
  std::string text;
  bool has_server = false;
};
[[nodiscard]] ResolvText resolv_text(std::string_view host_file);

/// The host's name servers for containers with a network of their own: filtered; where only
/// systemd-resolved's stub is listed, the servers that the stub asks. Reads the host's files. A
/// host whose only server listens on loopback has none for them (a public default would leak names;
/// see README).
[[nodiscard]] ResolvText host_resolv();

/// `host_file` with the servers and search domains that a document names in place of the host's.
/// Pure.
[[nodiscard]] std::string resolv_with(std::string_view host_file, const proto::NameRule& names);

/// Chooses by network mode: host: as it is; none: empty; isolated: `host_resolv`; then
/// `resolv_with`.
[[nodiscard]] std::string resolv_for(proto::NetworkMode mode, const proto::NameRule& names);

/// What the document says, else the name of the service; at most 63 characters.
[[nodiscard]] inline std::string hostname_of(const proto::ServiceName& service,
                                             const proto::NameRule& names) {
  return names.hostname.empty() ? service.str().substr(0, 63) : names.hostname;
}

/// Replaces the content of an existing file without changing its inode, so that bind mounts of it
/// see the change.
[[nodiscard]] Status rewrite_in_place(const std::filesystem::path& path, std::string_view content);

}  // namespace holdfast::deploy::runtime
