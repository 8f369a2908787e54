#include "deploy/network/nft/table_watch.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <libmnl/libmnl.h>
#include <linux/netconf.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "common/os/process.hpp"
#include "deploy/network/nft/forwarding.hpp"

namespace holdfast::deploy::network {
namespace {

constexpr std::size_t kBuffer = 32U << 10;

Result<os::UniqueFd> listen_to(int protocol, std::uint32_t groups) {
  os::UniqueFd fd{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol)};
  if (!fd) return errno_error(errno, "open a netlink socket");
  sockaddr_nl self{};
  self.nl_family = AF_NETLINK;
  self.nl_groups = groups;
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&self), sizeof self) != 0)
    return errno_error(errno, "listen to netlink");
  return fd;
}

constexpr std::uint32_t group_bit(int number) { return 1U << (number - 1); }

/// Hands every message that waits to `on_message`. True when some were lost.
template <class OnMessage>
bool drain(int fd, OnMessage on_message) {
  alignas(nlmsghdr) std::array<char, kBuffer> buffer;
  for (;;) {
    const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno == ENOBUFS;
    int left = static_cast<int>(got);
    for (const auto* header = reinterpret_cast<const nlmsghdr*>(buffer.data());
         mnl_nlmsg_ok(header, left); header = mnl_nlmsg_next(header, &left))
      on_message(*header);
  }
}

bool is_in(std::uint32_t address, const proto::Subnet& subnet) {
  const std::uint32_t mask = subnet.prefix == 0 ? 0 : ~std::uint32_t{0} << (32 - subnet.prefix);
  return (address & mask) == subnet.address;
}

/// Calls `visit` for each attribute behind a fixed header of `offset` bytes.
template <class Visit>
void for_each_attribute(const nlmsghdr& header, std::size_t offset, Visit visit) {
  const auto each = [](const nlattr* attribute, void* data) {
    (*static_cast<Visit*>(data))(*attribute);
    return MNL_CB_OK;
  };
  mnl_attr_parse(&header, static_cast<unsigned>(offset), each, &visit);
}

/// Destination of a route message; 0: the default route.
std::uint32_t destination(const nlmsghdr& header) {
  std::uint32_t found = 0;
  for_each_attribute(header, sizeof(rtmsg), [&](const nlattr& attribute) {
    if (mnl_attr_get_type(&attribute) == RTA_DST &&
        mnl_attr_get_payload_len(&attribute) == sizeof found)
      found = ntohl(mnl_attr_get_u32(&attribute));
  });
  return found;
}

/// Whether forwarding of the whole host, or of links to come, was turned on or off.
bool is_about_all_links(const nlmsghdr& header) {
  bool all = false;
  if (header.nlmsg_type != RTM_NEWNETCONF) return false;
  for_each_attribute(header, sizeof(netconfmsg), [&](const nlattr& attribute) {
    if (mnl_attr_get_type(&attribute) == NETCONFA_IFINDEX)
      all = static_cast<int>(mnl_attr_get_u32(&attribute)) < 0;  // all: -1, default: -2
  });
  return all;
}

/// The kernel names the thread, not the process (net/netfilter/nf_tables_api.c,
/// nf_tables_fill_gen_info).
bool is_thread_of_ours(std::uint32_t thread) {
  return ::access(fmt::format("/proc/self/task/{}", thread).c_str(), F_OK) == 0;
}

}  // namespace

Result<std::unique_ptr<TableWatch>> TableWatch::start(TableWatchOptions options,
                                                      std::function<void()> on_change) {
  std::unique_ptr<TableWatch> watch{new TableWatch{std::move(options), std::move(on_change)}};
  HF_TRY(watch->open());
  watch->thread_ =
      std::jthread{[raw = watch.get()](const std::stop_token& stop) { raw->loop(stop); }};
  return watch;
}

TableWatch::~TableWatch() {
  thread_.request_stop();
  if (wake_) eventfd_write(wake_.get(), 1);
  if (thread_.joinable()) thread_.join();
}

Status TableWatch::open() {
  HF_ASSIGN(rules_, listen_to(NETLINK_NETFILTER, group_bit(NFNLGRP_NFTABLES)));
  HF_ASSIGN(links_,
            listen_to(NETLINK_ROUTE, group_bit(RTNLGRP_LINK) | group_bit(RTNLGRP_IPV4_ROUTE) |
                                         group_bit(RTNLGRP_IPV4_NETCONF)));
  wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_) return errno_error(errno, "watch the network");
  return ok();
}

/// Each transaction ends with a message that names the thread that made it.
bool TableWatch::rules_changed() {
  bool changed = false;
  const bool lost = drain(rules_.get(), [&](const nlmsghdr& header) {
    if (NFNL_SUBSYS_ID(header.nlmsg_type) != NFNL_SUBSYS_NFTABLES) return;
    const bool ends = NFNL_MSG_TYPE(header.nlmsg_type) == NFT_MSG_NEWGEN;
    std::uint32_t author = 0;
    for_each_attribute(header, sizeof(nfgenmsg), [&](const nlattr& attribute) {
      const auto type = mnl_attr_get_type(&attribute);
      if (ends && type == NFTA_GEN_PROC_PID) author = ntohl(mnl_attr_get_u32(&attribute));
      // The table's name is attribute 1 of every other message of nf_tables.
      if (ends || type != NFTA_TABLE_NAME) return;
      const std::string_view table{mnl_attr_get_str(&attribute)};
      ours_ = ours_ || table == options_.table || table == kSharedTable;
    });
    if (!ends) return;
    changed = changed || (ours_ && !is_thread_of_ours(author));
    ours_ = false;
  });
  return changed || lost;
}

bool TableWatch::links_changed() {
  bool changed = false;
  const bool lost = drain(links_.get(), [&](const nlmsghdr& header) {
    if (header.nlmsg_type == RTM_DELLINK || is_about_all_links(header)) changed = true;
    if (header.nlmsg_type != RTM_DELROUTE) return;
    const auto gone = destination(header);
    changed = changed || is_in(gone, options_.subnet) || is_in(gone, options_.service_subnet);
  });
  return changed || lost;
}

void TableWatch::loop(const std::stop_token& stop) {
  os::name_this_thread("net-watch");
  std::array<pollfd, 3> waits{
      {{rules_.get(), POLLIN, 0}, {links_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}}};
  while (!stop.stop_requested()) {
    if (::poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR) return;
    const bool rules = waits[0].revents != 0 && rules_changed();
    const bool links = waits[1].revents != 0 && links_changed();
    if (rules || links) on_change_();
  }
}

}  // namespace holdfast::deploy::network
