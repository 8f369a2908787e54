#include "deploy/network/kernel/conntrack.hpp"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

#include <array>
#include <vector>

#include "common/base/clock.hpp"

namespace holdfast::deploy::network {
namespace {

// Bits of CTA_FILTER_ORIG_FLAGS and CTA_FILTER_REPLY_FLAGS (net/netfilter/nf_conntrack_netlink.c;
// not in the headers).
constexpr std::uint32_t kFilterIpSource = 1U << 0;
constexpr std::uint32_t kFilterProtocol = 1U << 3;

using Attributes = std::array<const nlattr*, 64>;

struct Slots {
  Attributes* into;
};

int collect(const nlattr* attribute, void* slots) {
  auto& table = *static_cast<Slots*>(slots)->into;
  if (const auto type = mnl_attr_get_type(attribute); type < table.size()) table[type] = attribute;
  return MNL_CB_OK;
}

Attributes nested(const nlattr* parent) {
  Attributes table{};
  Slots slots{&table};
  if (parent != nullptr) mnl_attr_parse_nested(parent, collect, &slots);
  return table;
}

std::uint32_t u32(const nlattr* attribute) {
  return attribute == nullptr || mnl_attr_get_payload_len(attribute) < 4
             ? 0
             : ntohl(mnl_attr_get_u32(attribute));
}
std::uint16_t u16(const nlattr* attribute) {
  return attribute == nullptr || mnl_attr_get_payload_len(attribute) < 2
             ? std::uint16_t{0}
             : ntohs(mnl_attr_get_u16(attribute));
}
std::uint8_t u8(const nlattr* attribute) {
  return attribute == nullptr || mnl_attr_get_payload_len(attribute) < 1
             ? std::uint8_t{0}
             : mnl_attr_get_u8(attribute);
}

FlowTuple tuple_of(const nlattr* attribute, std::uint8_t& protocol) {
  const auto parts = nested(attribute);
  const auto ip = nested(parts[CTA_TUPLE_IP]);
  const auto proto = nested(parts[CTA_TUPLE_PROTO]);
  protocol = u8(proto[CTA_PROTO_NUM]);
  return {.source = u32(ip[CTA_IP_V4_SRC]),
          .destination = u32(ip[CTA_IP_V4_DST]),
          .source_port = u16(proto[CTA_PROTO_SRC_PORT]),
          .destination_port = u16(proto[CTA_PROTO_DST_PORT])};
}

Flow flow_of(const nlmsghdr& header) {
  Attributes table{};
  Slots slots{&table};
  mnl_attr_parse(&header, sizeof(nfgenmsg), collect, &slots);
  Flow flow;
  std::uint8_t ignored = 0;
  flow.original = tuple_of(table[CTA_TUPLE_ORIG], flow.protocol);
  flow.reply = tuple_of(table[CTA_TUPLE_REPLY], ignored);
  flow.tcp_state =
      u8(nested(nested(table[CTA_PROTOINFO])[CTA_PROTOINFO_TCP])[CTA_PROTOINFO_TCP_STATE]);
  flow.zone = u16(table[CTA_ZONE]);
  flow.id = u32(table[CTA_ID]);
  return flow;
}

nlmsghdr* begin_message(char* buffer, std::uint16_t type, std::uint16_t flags,
                        std::uint32_t sequence) {
  auto* header = mnl_nlmsg_put_header(buffer);
  header->nlmsg_type = static_cast<std::uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | type);
  header->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  header->nlmsg_seq = sequence;
  auto* family = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(nfgenmsg)));
  family->nfgen_family = AF_INET;
  family->version = NFNETLINK_V0;
  return header;
}

void put_filter(nlmsghdr* header, const FlowFilter& filter) {
  if (filter.protocol) {
    auto* tuple = mnl_attr_nest_start(header, CTA_TUPLE_ORIG);
    auto* proto = mnl_attr_nest_start(header, CTA_TUPLE_PROTO);
    mnl_attr_put_u8(header, CTA_PROTO_NUM, *filter.protocol);
    mnl_attr_nest_end(header, proto);
    mnl_attr_nest_end(header, tuple);
  }
  if (filter.reply_source) {
    auto* tuple = mnl_attr_nest_start(header, CTA_TUPLE_REPLY);
    auto* ip = mnl_attr_nest_start(header, CTA_TUPLE_IP);
    mnl_attr_put_u32(header, CTA_IP_V4_SRC, htonl(*filter.reply_source));
    mnl_attr_nest_end(header, ip);
    mnl_attr_nest_end(header, tuple);
  }
  if (!filter.protocol && !filter.reply_source) return;
  auto* flags = mnl_attr_nest_start(header, CTA_FILTER);
  mnl_attr_put_u32(header, CTA_FILTER_ORIG_FLAGS, filter.protocol ? kFilterProtocol : 0U);
  mnl_attr_put_u32(header, CTA_FILTER_REPLY_FLAGS, filter.reply_source ? kFilterIpSource : 0U);
  mnl_attr_nest_end(header, flags);
}

bool matches(const Flow& flow, const FlowFilter& filter) {
  return (!filter.protocol || flow.protocol == *filter.protocol) &&
         (!filter.reply_source || flow.reply.source == *filter.reply_source);
}

}  // namespace

bool Flow::is_live_tcp() const {
  return protocol == IPPROTO_TCP && tcp_state >= TCP_CONNTRACK_SYN_SENT &&
         tcp_state <= TCP_CONNTRACK_CLOSE_WAIT;
}

Result<Conntrack> Conntrack::open() {
  auto netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return std::move(netlink).error().in("reach connection tracking");
  return Conntrack{std::move(*netlink)};
}

Status Conntrack::visit(const FlowFilter& filter, const std::function<void(const Flow&)>& look) {
  std::array<char, 1024> buffer{};
  const auto sequence = netlink_.next_sequence();
  auto* header = begin_message(buffer.data(), IPCTNL_MSG_CT_GET, NLM_F_DUMP, sequence);
  put_filter(header, filter);
  return netlink_.exchange({buffer.data(), header->nlmsg_len}, sequence, "list tracked connections",
                           [&](const nlmsghdr& answer) -> Status {
                             // Checked again: a kernel before 5.8 ignores the filter.
                             if (const auto flow = flow_of(answer); matches(flow, filter))
                               look(flow);
                             return ok();
                           });
}

Result<Conntrack::Forgotten> Conntrack::forget(const FlowFilter& filter,
                                               const std::function<bool(const Flow&)>& is_one,
                                               const std::stop_token& spare,
                                               const PieceBounds& bounds) {
  const auto deadline = SystemClock{}.boot() + bounds.time;
  Forgotten forgotten;
  for (;;) {
    std::vector<Flow> piece;
    HF_TRY(visit(filter, [&](const Flow& flow) {
      if (piece.size() < bounds.at_once && is_one(flow)) piece.push_back(flow);
    }));
    for (const auto& flow : piece) {
      if (spare.stop_requested()) return Error{Errc::cancelled, "the instance is needed again"};
      HF_TRY(forget(flow));
      forgotten.live_tcp += flow.is_live_tcp() ? 1 : 0;
    }
    if (piece.size() < bounds.at_once) return forgotten;
    forgotten.all = SystemClock{}.boot() < deadline;
    if (!forgotten.all) return forgotten;
  }
}

Status Conntrack::forget(const Flow& flow) {
  std::array<char, 1024> buffer{};
  const auto sequence = netlink_.next_sequence();
  auto* header = begin_message(buffer.data(), IPCTNL_MSG_CT_DELETE, NLM_F_ACK, sequence);
  // Never without a tuple: that would flush the table of the whole host.
  auto* tuple = mnl_attr_nest_start(header, CTA_TUPLE_ORIG);
  auto* ip = mnl_attr_nest_start(header, CTA_TUPLE_IP);
  mnl_attr_put_u32(header, CTA_IP_V4_SRC, htonl(flow.original.source));
  mnl_attr_put_u32(header, CTA_IP_V4_DST, htonl(flow.original.destination));
  mnl_attr_nest_end(header, ip);
  auto* proto = mnl_attr_nest_start(header, CTA_TUPLE_PROTO);
  mnl_attr_put_u8(header, CTA_PROTO_NUM, flow.protocol);
  mnl_attr_put_u16(header, CTA_PROTO_SRC_PORT, htons(flow.original.source_port));
  mnl_attr_put_u16(header, CTA_PROTO_DST_PORT, htons(flow.original.destination_port));
  mnl_attr_nest_end(header, proto);
  mnl_attr_nest_end(header, tuple);
  if (flow.zone != 0) mnl_attr_put_u16(header, CTA_ZONE, htons(flow.zone));
  if (flow.id != 0) mnl_attr_put_u32(header, CTA_ID, htonl(flow.id));
  auto done = netlink_.exchange({buffer.data(), header->nlmsg_len}, sequence,
                                "forget a tracked connection");
  if (!done && done.error().code() == Errc::not_found) return ok();
  return done;
}

}  // namespace holdfast::deploy::network
