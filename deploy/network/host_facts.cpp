#include "deploy/network/host_facts.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <unistd.h>

#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "common/os/process.hpp"
#include "deploy/network/kernel/conntrack.hpp"
#include "deploy/network/kernel/sysctl.hpp"
#include "deploy/network/nft/nft_ruleset.hpp"
#include "deploy/network/nft/nft_table.hpp"

namespace holdfast::deploy::network {
namespace {

constexpr std::string_view kOwnForward = "ip filter FORWARD";

/// Empty when the whole table as the agent loads it passes a dry run.
std::string try_nft() {
  os::RunOptions options;
  options.spawn.argv = {"nft", "--check", "-f", "-"};
  options.spawn.env = {os::kChildPath};
  options.timeout = Milliseconds{10'000};
  const proto::Subnet documentation{0xC0000200, 24};  // 192.0.2.0/24 (RFC 5737)
  options.input = render_ruleset(
      {.instance = "doctor", .subnet = documentation, .service_subnet = {0xC6336400, 24}}, {});
  const auto ran = os::run(options);
  if (!ran) return ran.error().what();
  if (os::succeeded(ran->status)) return {};
  return printable(trim(std::string_view{ran->err}.substr(0, 400)));
}

std::uint64_t number_of(std::string_view sysctl) {
  const auto text = read_sysctl(sysctl);
  if (!text) return 0;
  const auto number = parse_number(*text);
  return number ? *number : 0;
}

std::string try_conntrack() {
  auto conntrack = Conntrack::open();
  if (!conntrack) return conntrack.error().what();
  const auto seen =
      conntrack->visit({.protocol = IPPROTO_TCP, .reply_source = Address{0}}, [](const Flow&) {});
  return seen ? std::string{} : seen.error().what();
}

void look_at_forwarding(NetworkFacts& facts) {
  const auto forwarding = read_sysctl("net/ipv4/ip_forward");
  facts.forwarding = forwarding && *forwarding == "1";
  auto nft = NftTable::open({});
  if (!nft) return;
  const auto chains = nft->base_chains();
  if (!chains) return;
  for (const auto& chain : *chains) {
    if (!chain.forwards || !chain.drops) continue;
    const auto name = fmt::format("{} {} {}", chain.family, chain.table, chain.name);
    facts.dropping.push_back(name);
    if (name != kOwnForward) facts.dropping_alien.push_back(name);
  }
}

}  // namespace

std::set<plan::Address> host_addresses() {
  std::set<plan::Address> out;
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return out;
  for (const auto* each = all; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr || each->ifa_addr->sa_family != AF_INET) continue;
    out.insert(ntohl(reinterpret_cast<const sockaddr_in*>(each->ifa_addr)->sin_addr.s_addr));
  }
  freeifaddrs(all);
  return out;
}

Result<NetworkFacts> inspect_host(const std::filesystem::path& cni_dir) {
  if (geteuid() != 0)
    return Error{Errc::perm, "the network of the host can be looked at by root only"}.hint(
        "use sudo");
  NetworkFacts facts;
  facts.nft_fault = try_nft();
  facts.conntrack_fault = try_conntrack();
  facts.tracked = number_of("net/netfilter/nf_conntrack_count");
  facts.tracked_limit = number_of("net/netfilter/nf_conntrack_max");
  look_at_forwarding(facts);
  const auto legacy = os::read_regular_file("/proc/thread-self/net/ip_tables_names", 4096);
  facts.legacy_iptables = legacy && !trim(*legacy).empty();
  for (const auto* type : {"ptp", "host-local", "firewall"}) {
    const auto program = cni_dir / type;
    if (access(program.c_str(), X_OK) != 0) facts.missing_plugins.push_back(program.string());
  }
  return facts;
}

}  // namespace holdfast::deploy::network
