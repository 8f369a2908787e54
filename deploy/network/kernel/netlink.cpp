#include "deploy/network/kernel/netlink.hpp"

#include <fmt/format.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

namespace holdfast::deploy::network {
namespace {

constexpr std::size_t kReceiveBuffer = 64U << 10;
constexpr int kSocketBuffer =
    4 << 20;  // several thousand elements in one batch; memory is taken only while used

int error_of(const nlmsghdr& header) {
  int code = 0;
  if (header.nlmsg_len >= NLMSG_LENGTH(sizeof code))
    std::memcpy(&code, NLMSG_DATA(&header), sizeof code);
  return -code;
}

}  // namespace

Result<Netlink> Netlink::open(int protocol) {
  os::UniqueFd fd{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol)};
  if (!fd) return errno_error(errno, "open a netlink socket");
  // FORCE needs CAP_NET_ADMIN; without it the calls below fail anyway, each with its own message.
  (void)setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUFFORCE, &kSocketBuffer, sizeof kSocketBuffer);
  (void)setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kSocketBuffer, sizeof kSocketBuffer);
  const timeval timeout{.tv_sec = 2, .tv_usec = 0};
  if (setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) != 0)
    return errno_error(errno, "set the timeout of a netlink socket");
  sockaddr_nl self{};
  self.nl_family = AF_NETLINK;
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&self), sizeof self) != 0)
    return errno_error(errno, "bind a netlink socket");
  return Netlink{std::move(fd)};
}

Status Netlink::exchange(std::string_view messages, std::uint32_t last_sequence,
                         std::string_view doing, const OnMessage& on_message) {
  drain();  // answers to an exchange that was given up
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  ssize_t sent = 0;
  do {
    sent = ::sendto(fd_.get(), messages.data(), messages.size(), 0,
                    reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return errno_error(errno, doing);
  return receive(last_sequence, doing, on_message);
}

Status Netlink::receive(std::uint32_t last_sequence, std::string_view doing,
                        const OnMessage& on_message) {
  const auto buffer = std::make_unique_for_overwrite<char[]>(kReceiveBuffer);
  for (;;) {
    const ssize_t got = ::recv(fd_.get(), buffer.get(), kReceiveBuffer, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error(errno == EAGAIN ? ETIMEDOUT : errno, doing);
    auto left = static_cast<unsigned>(got);
    for (auto* header = reinterpret_cast<nlmsghdr*>(buffer.get()); NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left)) {
      if ((header->nlmsg_flags & NLM_F_DUMP_INTR) != 0)
        return Error{Errc::busy, fmt::format("{}: changed while it was read", doing)};
      if (header->nlmsg_type == NLMSG_ERROR || header->nlmsg_type == NLMSG_DONE) {
        if (const int code = error_of(*header); code > 0) return errno_error(code, doing);
        if (header->nlmsg_seq == last_sequence) return ok();
        continue;
      }
      if (on_message) HF_TRY(on_message(*header));
    }
  }
}

void Netlink::drain() {
  std::array<char, 4096> scratch;
  while (::recv(fd_.get(), scratch.data(), scratch.size(), MSG_DONTWAIT | MSG_TRUNC) > 0) {
  }
}

}  // namespace holdfast::deploy::network
