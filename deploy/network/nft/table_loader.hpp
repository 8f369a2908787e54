#pragma once
/// \file
/// What makes the table, and what else the host needs, by programs.

#include <optional>
#include <string>

#include "deploy/network/nft/forward.hpp"
#include "deploy/network/nft/forwarding.hpp"
#include "deploy/network/nft/nft_ruleset.hpp"
#include "deploy/network/nft/nft_table.hpp"
#include "deploy/network/port/publisher.hpp"

namespace holdfast::deploy::network {

/// Digests of the rules as the agent loaded them last: what is read later is compared with them.
struct LoadedRules {
  std::string table;       ///< of the agent's own table
  std::string forwarding;  ///< of the table that all agents of a host share; empty: it is not to be
};

/// Loads rules with `nft` and `iptables`, for as long as these take: not for the engine thread. It
/// belongs to the network namespace of the thread that opened it. Not thread safe.
class TableLoader {
 public:
  /// `last`: what is known from before.
  [[nodiscard]] static Result<TableLoader> open(const RulesetOptions& options, LoadedRules last);

  /// Makes the table what it should be, in place where there is one of ours. Without `wanted` it
  /// goes on leading traffic as it does. Errors: cni, with the next step; perm.
  [[nodiscard]] Status load(std::optional<RoutingTable> wanted);
  /// Lets packets of instances be forwarded, routes the service addresses here, and lets the host's
  /// FORWARD chain pass our traffic. Repeating it changes nothing. Errors: cni, perm.
  [[nodiscard]] Status ensure_host();
  [[nodiscard]] const LoadedRules& loaded() const { return loaded_; }

 private:
  TableLoader(const RulesetOptions& options, LoadedRules last, NftTable nft, Forwarding forwarding)
      : options_(options),
        loaded_(std::move(last)),
        nft_(std::move(nft)),
        forwarding_(std::move(forwarding)) {}
  /// In place. Errors: conflict, cni; then the rules may be anything.
  [[nodiscard]] Status renew_rules(const NftSets& held, const RoutingTable& wanted);
  [[nodiscard]] Status load_certainly(const std::string& text);

  const RulesetOptions& options_;
  LoadedRules loaded_;
  NftTable nft_;
  Forwarding forwarding_;
};

}  // namespace holdfast::deploy::network
