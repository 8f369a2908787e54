#include "deploy/network/kernel/tcp_sockets.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <array>
#include <bitset>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "common/base/clock.hpp"
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

Status visit(Netlink& netlink, std::uint8_t family, std::uint32_t states,
             const std::function<void(const inet_diag_msg&)>& look) {
  auto question = question_about(family, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP);
  question.request.idiag_states = states;
  question.header.nlmsg_seq = netlink.next_sequence();
  return netlink.exchange(bytes_of(question), question.header.nlmsg_seq, "list sockets",
                          [&](const nlmsghdr& answer) -> Status {
                            if (answer.nlmsg_len < NLMSG_LENGTH(sizeof(inet_diag_msg))) return ok();
                            inet_diag_msg socket{};
                            std::memcpy(&socket, NLMSG_DATA(&answer), sizeof socket);
                            look(socket);
                            return ok();
                          });
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

/// Resets what others opened to the ports that something listens on, in pieces.
class Resetting {
 public:
  Resetting(Netlink netlink, const std::stop_token& spare, const PieceBounds& bounds)
      : netlink_(std::move(netlink)), spare_(spare), bounds_(bounds) {}

  Status run() {
    for (const auto family : kFamilies)
      HF_TRY(visit(netlink_, family, 1U << TCP_LISTEN,
                   [this](const auto& socket) { listening_.set(port_of(socket)); }));
    for (const auto family : kFamilies) HF_TRY(reset(family));
    return ok();
  }
  [[nodiscard]] std::uint32_t count() const { return count_; }

 private:
  static std::size_t port_of(const inet_diag_msg& socket) { return ntohs(socket.id.idiag_sport); }

  Status reset(std::uint8_t family) {
    const auto deadline = SystemClock{}.boot() + bounds_.time;
    for (;;) {
      std::vector<inet_diag_msg> piece;
      HF_TRY(visit(netlink_, family, kOpen, [&](const auto& socket) {
        if (piece.size() < bounds_.at_once && listening_.test(port_of(socket)))
          piece.push_back(socket);
      }));
      for (const auto& socket : piece) {
        if (spare_.stop_requested()) return ok();
        HF_TRY(destroy(netlink_, socket));
        ++count_;
      }
      if (piece.size() < bounds_.at_once) return ok();
      if (SystemClock{}.boot() >= deadline)
        return Error{Errc::timed_out,
                     fmt::format("more than {} connections were to be reset", count_)};
    }
  }

  Netlink netlink_;
  const std::stop_token& spare_;
  const PieceBounds& bounds_;
  std::bitset<1U << 16> listening_;
  std::uint32_t count_ = 0;
};

}  // namespace

Result<std::uint32_t> reset_accepted(const std::filesystem::path& netns,
                                     const std::stop_token& spare, const PieceBounds& bounds) {
  std::uint32_t count = 0;
  HF_TRY(run_in_netns(netns, [&]() -> Status {
    HF_ASSIGN(auto netlink, Netlink::open(NETLINK_SOCK_DIAG));
    Resetting resetting{std::move(netlink), spare, bounds};
    auto done = resetting.run();
    count = resetting.count();
    return done;
  }));
  return count;
}

}  // namespace holdfast::deploy::network
