#pragma once
#include <string>

#include "deploy/network/publisher.hpp"
#include "proto/config/agent_config.hpp"

namespace holdfast::deploy::network {

struct RulesetOptions {
  std::string instance;          ///< [a-z0-9]([a-z0-9-]{0,14})
  proto::Subnet subnet;          ///< of the instances
  proto::Subnet service_subnet;  ///< of the virtual addresses
};

/// "holdfast_main"; '-' becomes '_'.
[[nodiscard]] std::string table_name(const RulesetOptions& options);

/// The whole table as text for `nft -f`, replacing any of that name in one transaction, with
/// `routing` as its content. Pure.
[[nodiscard]] std::string render_ruleset(const RulesetOptions& options,
                                         const RoutingTable& routing);

}  // namespace holdfast::deploy::network
