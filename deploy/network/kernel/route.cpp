#include "deploy/network/kernel/route.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <array>
#include <cstdint>
#include <string>

#include "deploy/network/kernel/netlink.hpp"

namespace holdfast::deploy::network {
namespace {

/// RTM_NEWROUTE or RTM_DELROUTE for the route of type local in the local table, on lo.
std::string route_message(std::uint16_t type, int flags, std::uint32_t sequence,
                          const proto::Subnet& subnet) {
  std::array<char, 256> buffer{};
  auto* header = mnl_nlmsg_put_header(buffer.data());
  header->nlmsg_type = type;
  header->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
  header->nlmsg_seq = sequence;
  auto* route = static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(rtmsg)));
  route->rtm_family = AF_INET;
  route->rtm_dst_len = static_cast<unsigned char>(subnet.prefix);
  route->rtm_table = RT_TABLE_LOCAL;
  route->rtm_protocol = RTPROT_STATIC;
  route->rtm_scope = RT_SCOPE_HOST;
  route->rtm_type = RTN_LOCAL;
  mnl_attr_put_u32(header, RTA_DST, htonl(subnet.address));
  mnl_attr_put_u32(header, RTA_OIF, if_nametoindex("lo"));
  // Else the kernel picks the destination itself as source, and drops the answer as one that comes
  // from itself.
  if (type == RTM_NEWROUTE) mnl_attr_put_u32(header, RTA_PREFSRC, htonl(INADDR_LOOPBACK));
  return {buffer.data(), header->nlmsg_len};
}

}  // namespace

Result<bool> has_local_route(const proto::Subnet& subnet) {
  HF_ASSIGN(auto netlink, Netlink::open(NETLINK_ROUTE));
  std::array<char, 256> buffer{};
  const auto sequence = netlink.next_sequence();
  auto* header = mnl_nlmsg_put_header(buffer.data());
  header->nlmsg_type = RTM_GETROUTE;
  header->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  header->nlmsg_seq = sequence;
  auto* request = static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(rtmsg)));
  request->rtm_family = AF_INET;
  request->rtm_dst_len = 32;
  mnl_attr_put_u32(header, RTA_DST, htonl(subnet.address | 1));
  bool local = false;
  auto done = netlink.exchange(
      {buffer.data(), header->nlmsg_len}, sequence, "look up a route",
      [&](const nlmsghdr& answer) -> Status {
        local = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(&answer))->rtm_type == RTN_LOCAL;
        return ok();
      });
  // "network is unreachable" is an answer: there is no default route either.
  if (!done && done.error().code() != Errc::io) return std::move(done).error();
  return local;
}

Status ensure_local_route(const proto::Subnet& subnet) {
  HF_ASSIGN(const bool there, has_local_route(subnet));
  if (there) return ok();
  HF_ASSIGN(auto netlink, Netlink::open(NETLINK_ROUTE));
  const auto sequence = netlink.next_sequence();
  auto added =
      netlink.exchange(route_message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sequence, subnet),
                       sequence, fmt::format("route {} to this host", subnet.str()));
  if (added) return ok();
  return std::move(added).error().hint(
      fmt::format("run: ip route add local {} dev lo src 127.0.0.1", subnet.str()));
}

Status remove_local_route(const proto::Subnet& subnet) {
  HF_ASSIGN(auto netlink, Netlink::open(NETLINK_ROUTE));
  const auto sequence = netlink.next_sequence();
  auto removed = netlink.exchange(route_message(RTM_DELROUTE, 0, sequence, subnet), sequence,
                                  "delete the route");
  if (!removed) {
    HF_ASSIGN(const bool left, has_local_route(subnet));
    if (left)
      return std::move(removed).error().in(
          fmt::format("remove the local route of {}", subnet.str()));
  }
  return ok();
}

}  // namespace holdfast::deploy::network
