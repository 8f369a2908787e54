#include "deploy/network/port_reservation.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <vector>

#include "common/base/text.hpp"
#include "common/os/file.hpp"

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
  const auto owner = port_owner(key);
  return Error{Errc::port_in_use, fmt::format("port {} is taken by {}", name,
                                              owner.empty() ? "another program" : owner)}
      .hint(owner.empty() ? fmt::format("find it with: ss -anp 'sport = :{}'", key.port)
                          : fmt::format("stop {}, or publish another port", owner));
}

/// Socket inodes in /proc/net/{tcp,udp}[6] whose local port is this one.
std::set<std::string> inodes_bound_to(const PortKey& key) {
  std::set<std::string> inodes;
  const std::string_view base = key.transport == proto::Transport::tcp ? "tcp" : "udp";
  for (const auto* suffix : {"", "6"}) {
    const auto text =
        os::read_file(fmt::format("/proc/thread-self/net/{}{}", base, suffix), 64U << 20);
    if (!text) continue;
    for (const auto line : split(*text, '\n')) {
      std::vector<std::string_view> fields;
      for (const auto field : split(line, ' ')) {
        if (!field.empty()) fields.push_back(field);
      }
      constexpr std::size_t kLocal = 1;
      constexpr std::size_t kState = 3;
      constexpr std::size_t kInode = 9;
      if (fields.size() <= kInode || !fields[kLocal].ends_with(fmt::format(":{:04X}", key.port)))
        continue;
      const bool connected = fields[kState] == "01" && base == "tcp";
      if (!connected && fields[kInode] != "0") inodes.emplace(fields[kInode]);
    }
  }
  return inodes;
}

bool holds_one_of(const std::filesystem::path& process, const std::set<std::string>& links) {
  std::error_code failure;
  for (std::filesystem::directory_iterator fd{process / "fd", failure}, end; !failure && fd != end;
       fd.increment(failure)) {
    std::array<char, 64> target{};
    const ssize_t size = readlink(fd->path().c_str(), target.data(), target.size());
    if (size > 0 && links.contains(std::string{target.data(), static_cast<std::size_t>(size)}))
      return true;
  }
  return false;
}

}  // namespace

std::string port_owner(const PortKey& key) {
  std::set<std::string> links;
  for (const auto& inode : inodes_bound_to(key)) links.insert(fmt::format("socket:[{}]", inode));
  if (links.empty()) return {};
  std::error_code failure;
  for (std::filesystem::directory_iterator it{"/proc", failure}, end; !failure && it != end;
       it.increment(failure)) {
    const auto pid = it->path().filename().string();
    if (!parse_number(pid) || !holds_one_of(it->path(), links)) continue;
    const auto name = os::read_file(it->path() / "comm", 256);
    return fmt::format("{} (pid {})", name ? printable(trim(*name)) : "?", pid);
  }
  return {};
}

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
