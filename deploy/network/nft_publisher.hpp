#pragma once
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "deploy/network/nft/forward.hpp"
#include "deploy/network/nft/forwarding.hpp"
#include "deploy/network/nft/nft_ruleset.hpp"
#include "deploy/network/nft/nft_table.hpp"
#include "deploy/network/nft/table_loader.hpp"
#include "deploy/network/nft/table_watch.hpp"
#include "deploy/network/port/publisher.hpp"
#include "deploy/network/port_reservation.hpp"
#include "deploy/network/udp_mover.hpp"

namespace holdfast::deploy::network {

/// `Publisher` by one nftables table, changed by netlink, and connection tracking. It belongs to
/// the network namespace of the thread that opened it. All calls come from one thread, except
/// `connections` and `cut`, which any thread may make: they walk the kernel's table of connections,
/// 10 ms and more, so they do not belong on the engine thread; and `restore`, which runs programs.
/// `apply` leaves UDP flows to a thread of its own, which has forgotten them some 20 ms later.
class NftPublisher final : public Publisher {
 public:
  /// Reloads the rules, in one transaction, and leaves the elements of an earlier life of the
  /// agent where they are; lets packets of instances be forwarded, routes the service addresses
  /// here, and lets the host's FORWARD chain pass our traffic. Runs `nft` once (10 ms). Errors:
  /// cni, with the next step; perm.
  [[nodiscard]] static Result<std::unique_ptr<NftPublisher>> open(RulesetOptions options);

  /// Costs one netlink exchange and three small reads while nothing in the host's nft ruleset has
  /// changed.
  Result<RoutingTable> observe() override;
  Status apply(const RoutingTable& wanted) override;
  Status restore(const RoutingTable& wanted) override;
  Status reserve(const std::set<PortKey>& ports) override { return ports_.hold(ports); }
  void watch(std::function<void()> on_change) override;
  Result<std::map<Address, std::uint32_t>> connections(const std::set<Address>& instances) override;
  Result<std::uint32_t> cut(Address instance, const std::stop_token& stop) override;

  /// Takes everything away again: table, FORWARD rules, forwarding, route, reserved ports. What is
  /// absent is success. Goes on after a failure and returns the first.
  [[nodiscard]] Status remove_all();

 private:
  NftPublisher(RulesetOptions options, NftTable nft, Forwarding forwarding)
      : options_(std::move(options)), nft_(std::move(nft)), forwarding_(std::move(forwarding)) {}
  [[nodiscard]] ForwardOptions forward_options() const {
    return {options_.instance, options_.subnet};
  }
  /// As `TableLoader::load`, and what the host needs.
  [[nodiscard]] Status reload(std::optional<RoutingTable> wanted);
  [[nodiscard]] LoadedRules loaded() const;
  void set_loaded(const LoadedRules& loaded);
  [[nodiscard]] Status check_host();
  [[nodiscard]] Result<RoutingTable> observe_table();
  [[nodiscard]] Result<RoutingTable> read();

  /// What the kernel held at one generation of its ruleset.
  struct Known {
    std::uint32_t generation = 0;
    RoutingTable routing;
  };

  RulesetOptions options_;
  NftTable nft_;
  Forwarding forwarding_;
  PortReservation ports_;
  mutable std::mutex loaded_mutex_;  ///< held for a copy, never while something is loaded
  LoadedRules loaded_;
  std::optional<Known> known_;
  UdpMover udp_mover_;
  std::unique_ptr<TableWatch> watch_;
};

}  // namespace holdfast::deploy::network
