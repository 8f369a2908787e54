#include "deploy/network/kernel/tcp_sockets.hpp"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <array>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "deploy/network/kernel/netlink.hpp"
#include "deploy/network/kernel/netns.hpp"

namespace holdfast::deploy::network {
namespace {

struct Question {
  nlmsghdr header{};
  inet_diag_req_v2 request{};
};

/// Those that still have something to say to their peer.
constexpr std::uint32_t kOpen =
    (1U << TCP_ESTABLISHED) | (1U << TCP_FIN_WAIT1) | (1U << TCP_CLOSE_WAIT);

constexpr std::array<std::uint8_t, 2> kFamilies{AF_INET, AF_INET6};

std::string_view bytes_of(const Question& question) {
  return {reinterpret_cast<const char*>(&question), sizeof question};
}

Question question_about(std::uint8_t family, std::uint16_t type, int flags) {
  Question made;
  made.header.nlmsg_len = sizeof made;
  made.header.nlmsg_type = type;
  made.header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  made.request.sdiag_family = family;
  made.request.sdiag_protocol = IPPROTO_TCP;
  return made;
}

Result<std::vector<inet_diag_msg>> sockets(Netlink& netlink, std::uint8_t family,
                                           std::uint32_t states) {
  auto question = question_about(family, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP);
  question.request.idiag_states = states;
  question.header.nlmsg_seq = netlink.next_sequence();
  std::vector<inet_diag_msg> found;
  HF_TRY(netlink.exchange(bytes_of(question), question.header.nlmsg_seq, "list sockets",
                          [&](const nlmsghdr& answer) -> Status {
                            if (answer.nlmsg_len < NLMSG_LENGTH(sizeof(inet_diag_msg))) return ok();
                            inet_diag_msg socket{};
                            std::memcpy(&socket, NLMSG_DATA(&answer), sizeof socket);
                            found.push_back(socket);
                            return ok();
                          }));
  return found;
}

Status destroy(Netlink& netlink, const inet_diag_msg& socket) {
  auto question = question_about(socket.idiag_family, SOCK_DESTROY, NLM_F_ACK);
  question.request.id = socket.id;
  question.request.idiag_states = 1U << socket.idiag_state;
  question.header.nlmsg_seq = netlink.next_sequence();
  auto done = netlink.exchange(bytes_of(question), question.header.nlmsg_seq, "reset a connection");
  // It ended by itself meanwhile.
  if (!done && done.error().code() == Errc::not_found) return ok();
  return done;
}

Status reset_all(const std::stop_token& spare, std::uint32_t& count) {
  HF_ASSIGN(auto netlink, Netlink::open(NETLINK_SOCK_DIAG));
  std::set<std::uint16_t> listening;
  for (const auto family : kFamilies) {
    HF_ASSIGN(const auto found, sockets(netlink, family, 1U << TCP_LISTEN));
    for (const auto& socket : found) listening.insert(socket.id.idiag_sport);
  }
  for (const auto family : kFamilies) {
    HF_ASSIGN(const auto found, sockets(netlink, family, kOpen));
    if (spare.stop_requested()) return ok();
    for (const auto& socket : found) {
      if (!listening.contains(socket.id.idiag_sport)) continue;
      HF_TRY(destroy(netlink, socket));
      ++count;
    }
  }
  return ok();
}

}  // namespace

Result<std::uint32_t> reset_accepted(const std::filesystem::path& netns,
                                     const std::stop_token& spare) {
  std::uint32_t count = 0;
  HF_TRY(run_in_netns(netns, [&] { return reset_all(spare, count); }));
  return count;
}

}  // namespace holdfast::deploy::network
