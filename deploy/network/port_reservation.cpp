#include "deploy/network/port_reservation.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <vector>

namespace holdfast::deploy::network {
namespace {

enum class Reuse { no, yes };

/// Bound socket, or errno.
Result<os::UniqueFd> bind_port(const PortKey& key, Reuse reuse) {
  const int type = key.transport == proto::Transport::tcp ? SOCK_STREAM : SOCK_DGRAM;
  os::UniqueFd fd{::socket(AF_INET, type | SOCK_CLOEXEC, 0)};
  if (!fd) return errno_error(errno, "open a socket");
  constexpr int kOn = 1;
  constexpr int kOff = 0;
  (void)setsockopt(fd.get(), IPPROTO_IP, IP_FREEBIND, &kOn, sizeof kOn);
  if (key.transport == proto::Transport::udp) {
    // Nobody reads it: let nothing queue up.
    (void)setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &kOff, sizeof kOff);
  }
  if (reuse == Reuse::yes) (void)setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &kOn, sizeof kOn);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(key.port);
  address.sin_addr.s_addr = htonl(key.host_ip);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == EADDRINUSE) return Error{Errc::port_in_use, "address in use"};
    return errno_error(errno, "bind");
  }
  if (reuse == Reuse::yes) (void)setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &kOff, sizeof kOff);
  return fd;
}

Result<os::UniqueFd> reserve_port(const PortKey& key) {
  auto fd = bind_port(key, Reuse::no);
  // Closed connections of a program that has left (TIME_WAIT) also stand in the way, but not of a
  // socket with SO_REUSEADDR. UDP has no such state, and there the option would share the port with
  // whoever has it.
  if (!fd && fd.error().code() == Errc::port_in_use && key.transport == proto::Transport::tcp)
    fd = bind_port(key, Reuse::yes);
  if (fd) return fd;
  const auto name = to_string(key);
  if (fd.error().code() != Errc::port_in_use)
    return std::move(fd).error().in("reserve port " + name);
  return Error{Errc::port_in_use, fmt::format("port {} is taken by another program", name)}.hint(
      fmt::format("ss -anp 'sport = :{}' names it: stop it, or publish another port", key.port));
}

}  // namespace

Status PortReservation::hold(const std::set<PortKey>& ports) {
  // "*:80" becoming "127.0.0.1:80": our own old socket would be in the way of the new one.
  std::vector<PortKey> given_up;
  for (const auto& [key, fd] : held_) {
    const bool in_the_way =
        !ports.contains(key) &&
        std::any_of(ports.begin(), ports.end(), [&, held = key](const PortKey& wanted) {
          return wanted.port == held.port && wanted.transport == held.transport;
        });
    if (in_the_way) given_up.push_back(key);
  }
  for (const auto& key : given_up) held_.erase(key);
  std::map<PortKey, os::UniqueFd> fresh;
  for (const auto& key : ports) {
    if (held_.contains(key)) continue;
    auto fd = reserve_port(key);
    if (!fd) {
      fresh.clear();
      for (const auto& old : given_up) {
        if (auto again = reserve_port(old)) held_.emplace(old, std::move(*again));
      }
      return std::move(fd).error();
    }
    fresh.emplace(key, std::move(*fd));
  }
  std::erase_if(held_, [&](const auto& entry) { return !ports.contains(entry.first); });
  held_.merge(fresh);
  return ok();
}

}  // namespace holdfast::deploy::network
