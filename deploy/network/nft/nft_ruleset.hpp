#pragma once
#include <filesystem>
#include <map>
#include <string>

#include "deploy/network/port/publisher.hpp"
#include "proto/config/agent_config.hpp"

namespace holdfast::deploy::network {

struct RulesetOptions {
  std::string instance;          ///< [a-z0-9]([a-z0-9-]{0,14})
  proto::Subnet subnet;          ///< of the instances
  proto::Subnet service_subnet;  ///< of the virtual addresses
  /// Instances may reach 169.254.0.0/16, 100.100.100.200 and 168.63.129.16, where clouds answer
  /// with the host's credentials.
  bool allow_link_local = false;
  std::filesystem::path run_dir{};  ///< Forwarding::open
};

/// "holdfast_main"; '-' becomes '_'.
[[nodiscard]] std::string table_name(const RulesetOptions& options);

/// The whole table as text for `nft -f`, replacing any of that name in one transaction, with
/// `routing` as its content. Pure. A connection that opens in the instant of the replacement can
/// meet neither table and be refused: for a table that may carry traffic see `render_rules`.
[[nodiscard]] std::string render_ruleset(const RulesetOptions& options,
                                         const RoutingTable& routing);

/// The rules alone: the table and its sets stay, or come into being, with the elements they have.
/// `nft -f` refuses it where a chain of that name is of another kind. Pure.
[[nodiscard]] std::string render_rules(const RulesetOptions& options);

/// Name of every chain of the table, and whether it is a base chain.
[[nodiscard]] const std::map<std::string, bool>& ruleset_chains();

}  // namespace holdfast::deploy::network
