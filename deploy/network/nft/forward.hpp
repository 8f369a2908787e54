#pragma once
/// \file
/// The host's FORWARD chain: where docker, ufw and the like let it drop by default, traffic to and
/// from instances needs an accept of its own, because an accept in another table does not spare a
/// packet this chain.

#include <string>

#include "common/base/result.hpp"
#include "deploy/network/nft/nft_table.hpp"
#include "proto/config/agent_config.hpp"

namespace holdfast::deploy::network {

struct ForwardOptions {
  std::string instance;
  proto::Subnet subnet;
};

/// True when `ip filter FORWARD`, the chain of iptables, drops by default; false also where
/// nf_tables cannot be read.
[[nodiscard]] bool host_forward_drops();

/// True when nothing needs to be done: the chain does not drop, or holds both of our rules. Two
/// small netlink exchanges.
[[nodiscard]] Result<bool> forward_is_open(NftTable& nft, const ForwardOptions& options);

/// Inserts what is missing by `iptables`, into DOCKER-USER where there is one (docker leaves it
/// alone), else FORWARD. Each rule has the comment "holdfast:<instance>". Errors: cni, with the
/// rule to add by hand.
[[nodiscard]] Status open_forward(NftTable& nft, const ForwardOptions& options);

/// Takes our rules out again; absent ones are success.
[[nodiscard]] Status close_forward(NftTable& nft, const ForwardOptions& options);

}  // namespace holdfast::deploy::network
