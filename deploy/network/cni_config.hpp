#pragma once
/// \file
/// The texts of CNI: configuration lists, plugin input, results, errors, and the record of an
/// attachment. Pure. Source: containernetworking/cni SPEC.md, versions 0.3.0 to 1.0.0, at which
/// Debian 12's plugins stop (packaging/doc/security.md 3.7).

#include <array>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"
#include "deploy/network/port/publisher.hpp"
#include "proto/config/agent_config.hpp"

namespace holdfast::deploy::network {

/// Those that are spoken here, best first; what differs between them is not used. Ubuntu 22.04's
/// plugins end at 0.4.0.
inline constexpr std::array<std::string_view, 4> kCniVersions{"1.0.0", "0.4.0", "0.3.1", "0.3.0"};

/// What a plugin answers to VERSION, as JSON; empty: it gave no answer of that form.
[[nodiscard]] std::set<std::string> supported_versions(std::string_view answer);
/// The best that all plugins know; without an answer of one, the best of the others. Errors: cni
/// when there is none.
[[nodiscard]] Result<std::string> common_version(const std::vector<std::set<std::string>>& plugins);

/// Whether the plugin that opens the host's FORWARD chain to each address is part of the list.
enum class FirewallPlugin : std::uint8_t { absent, present };

struct DefaultNetwork {
  std::string name;  ///< of the CNI network, own to this agent
  proto::Subnet subnet;
  std::string leases_dir;  ///< host-local keeps one file an address below it
  FirewallPlugin firewall = FirewallPlugin::absent;
  std::string version{kCniVersions.front()};
};

/// ptp with host-local, without masquerade, which the agent's own nft table does; JSON text.
[[nodiscard]] std::string default_conflist(const DefaultNetwork& network);

/// The same list for plugins of `version`; a text that is no list stays as it is.
[[nodiscard]] std::string with_version(const std::string& conflist, const std::string& version);

/// A configuration list, checked: `type` of each plugin is a plain file name.
struct CniList {
  std::string name;
  std::string version;
  std::vector<std::string> types;  ///< in order of ADD
  std::vector<std::string>
      configs;  ///< JSON objects, with name and cniVersion injected and capabilities removed
};
/// Errors: cni.
[[nodiscard]] Result<CniList> parse_conflist(std::string_view text);

/// What a plugin reads on stdin. `prev_result` empty: none.
[[nodiscard]] std::string plugin_input(const CniList& list, std::size_t index,
                                       std::string_view prev_result);

struct CniResult {
  Address address = 0;                       ///< first IPv4 address of the container
  std::vector<std::string> host_interfaces;  ///< those without a sandbox
};
/// Errors: cni.
[[nodiscard]] Result<CniResult> parse_result(std::string_view text);

/// The error a plugin reported: JSON on stdout, or on stderr by older texts of the specification,
/// else both streams as they are. Names plugin, code, message and the next step. Always Errc::cni.
[[nodiscard]] Error plugin_error(std::string_view type, std::string_view exit, std::string_view out,
                                 std::string_view err);

/// What is kept of an attachment, so that DEL works with the configuration of its ADD.
struct AttachmentRecord {
  std::string id;
  std::string netns;
  std::string conflist;  ///< effective
  std::string result;    ///< final ADD result; empty: ADD was begun and not finished
  Address address = 0;
  bool operator==(const AttachmentRecord&) const = default;
};
[[nodiscard]] std::string encode(const AttachmentRecord& record);
/// Errors: cni.
[[nodiscard]] Result<AttachmentRecord> decode_record(std::string_view text);

/// `[A-Za-z0-9][A-Za-z0-9_.-]{0,63}`: the rule that CNI, runc and file names share. Errors: usage.
[[nodiscard]] Status check_container_id(std::string_view id);

/// "10.89.0.5" to host byte order. Errors: usage.
[[nodiscard]] Result<Address> parse_address(std::string_view text);

}  // namespace holdfast::deploy::network
