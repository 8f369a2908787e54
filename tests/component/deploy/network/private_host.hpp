#pragma once
/// \file
/// A host of the test's own: the process moves into fresh network and mount namespaces, so that
/// real rules, namespaces and addresses harm nobody and vanish with it, also after a crash. Include
/// in one test file a program; needs root.

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "common/os/process.hpp"
#include "deploy/network/cni_attachments.hpp"
#include "deploy/network/kernel/netns.hpp"

namespace holdfast::test {

using deploy::network::Address;
using std::chrono::milliseconds;

/// Runs a program to its end and returns its output; a failing one fails the test.
inline std::string sh(const std::vector<std::string>& argv) {
  os::RunOptions options;
  options.spawn.argv = argv;
  options.spawn.env = {os::kChildPath};
  const auto ran = os::run(options);
  if (!ran || !os::succeeded(ran->status))
    ADD_FAILURE() << argv.front() << " " << argv.back() << ": "
                  << (ran ? ran->err : ran.error().to_string());
  return ran ? ran->out : std::string{};
}

/// Before any thread is started, so that all of them inherit it.
inline bool enter_private_host() {
  if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0 ||
      mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    std::perror("this test needs root: make a network namespace");
    std::exit(1);
  }
  sh({"ip", "link", "set", "lo", "up"});
  // The machine's own values are inherited, and those of links follow a change only.
  for (const auto* forwards : {"1", "0"})
    sh({"sysctl", "-qw", fmt::format("net.ipv4.ip_forward={}", forwards)});
  return true;
}
inline const bool kEntered = enter_private_host();

inline sockaddr_in socket_address(Address address, std::uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  out.sin_addr.s_addr = htonl(address);
  return out;
}

/// Calls `work` in the namespace; empty path: the private host itself.
template <class Work>
auto inside(const std::filesystem::path& netns, Work work) {
  if (netns.empty()) return work();
  std::optional<decltype(work())> out;
  const auto done = deploy::network::run_in_netns(netns, [&] {
    out = work();
    return ok();
  });
  EXPECT_TRUE(done) << done.error().to_string();
  return std::move(*out);
}

/// A connected TCP or UDP socket with a time limit for every call; invalid when the connection
/// failed.
inline os::UniqueFd dial(Address address, std::uint16_t port, int type = SOCK_STREAM,
                         Address from = 0) {
  os::UniqueFd fd{::socket(AF_INET, type | SOCK_CLOEXEC, 0)};
  const timeval limit{.tv_sec = type == SOCK_STREAM ? 1 : 0, .tv_usec = 500'000};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (from != 0) {
    const auto source = socket_address(from, 0);
    if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&source), sizeof source) != 0)
      return os::UniqueFd{};
  }
  const auto to = socket_address(address, port);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0)
    return os::UniqueFd{};
  return fd;
}

/// Sends a question and returns the answer; empty when there is none.
inline std::string ask(int fd) {
  if (::send(fd, "?", 1, MSG_NOSIGNAL) != 1) return "";
  std::array<char, 128> buffer{};
  const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
  return got > 0 ? std::string{buffer.data(), static_cast<std::size_t>(got)} : "";
}

/// Asks over a connection of its own: "v1 10.189.0.1" (name of the server, and whom it saw).
inline std::string ask_once(const std::filesystem::path& from, Address address, std::uint16_t port,
                            int type = SOCK_STREAM) {
  return inside(from, [&]() -> std::string {
    const auto fd = dial(address, port, type);
    return fd ? ask(fd.get()) : std::string{};
  });
}

/// Answers every message over TCP and UDP on one port with its name and the peer's address, until
/// destroyed.
class TinyServer {
 public:
  TinyServer(const std::filesystem::path& netns, std::string name, std::uint16_t port)
      : name_(std::move(name)) {
    inside(netns, [&] {
      tcp_ = listen_on(SOCK_STREAM, port);
      udp_ = listen_on(SOCK_DGRAM, port);
      return true;
    });
    auto pipe = os::make_pipe();
    stop_read_ = std::move(pipe->first);
    stop_write_ = std::move(pipe->second);
    thread_ = std::jthread{[this] { serve(); }};
  }
  ~TinyServer() {
    stop_write_.reset();
    thread_.join();
  }

 private:
  static os::UniqueFd listen_on(int type, std::uint16_t port) {
    os::UniqueFd fd{::socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    constexpr int kOn = 1;
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &kOn, sizeof kOn);
    const auto any = socket_address(INADDR_ANY, port);
    EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any), 0)
        << strerror(errno);
    if (type == SOCK_STREAM) {
      EXPECT_EQ(listen(fd.get(), 512), 0);
    }
    return fd;
  }
  [[nodiscard]] std::string answer(const sockaddr_in& peer) const {
    return fmt::format("{} {}", name_, deploy::plan::address_text(ntohl(peer.sin_addr.s_addr)));
  }
  void serve() {
    std::map<int, std::pair<os::UniqueFd, sockaddr_in>> peers;
    for (;;) {
      std::vector<pollfd> fds{
          {stop_read_.get(), POLLIN, 0}, {tcp_.get(), POLLIN, 0}, {udp_.get(), POLLIN, 0}};
      for (const auto& [fd, peer] : peers) fds.push_back({fd, POLLIN, 0});
      poll(fds.data(), fds.size(), -1);
      if (fds[0].revents != 0) return;
      if (fds[1].revents != 0) accept_all(peers);
      if (fds[2].revents != 0) answer_datagram();
      for (std::size_t i = 3; i < fds.size(); ++i) {
        if (fds[i].revents != 0 && !answer_stream(fds[i].fd, peers[fds[i].fd].second))
          peers.erase(fds[i].fd);
      }
    }
  }
  void accept_all(std::map<int, std::pair<os::UniqueFd, sockaddr_in>>& peers) {
    for (;;) {
      sockaddr_in peer{};
      socklen_t size = sizeof peer;
      const int fd = accept4(tcp_.get(), reinterpret_cast<sockaddr*>(&peer), &size,
                             SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      peers[fd] = {os::UniqueFd{fd}, peer};
    }
  }
  [[nodiscard]] bool answer_stream(int fd, const sockaddr_in& peer) const {
    std::array<char, 64> buffer{};
    if (::recv(fd, buffer.data(), buffer.size(), 0) <= 0) return false;
    const auto text = answer(peer);
    return ::send(fd, text.data(), text.size(), MSG_NOSIGNAL) > 0;
  }
  void answer_datagram() const {
    std::array<char, 64> buffer{};
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    if (recvfrom(udp_.get(), buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&peer),
                 &size) < 0)
      return;
    const auto text = answer(peer);
    (void)sendto(udp_.get(), text.data(), text.size(), 0, reinterpret_cast<const sockaddr*>(&peer),
                 size);
  }

  std::string name_;
  os::UniqueFd tcp_;
  os::UniqueFd udp_;
  os::UniqueFd stop_read_;
  os::UniqueFd stop_write_;
  std::jthread thread_;
};

inline const proto::Subnet kSubnet{0x0ABD0000, 16};         // 10.189.0.0/16
inline const proto::Subnet kServiceSubnet{0x0ABE0000, 16};  // 10.190.0.0/16

/// State and run directories, and attachments in them.
struct Network {
  os::TempDir dir = std::move(os::TempDir::create("/tmp", "holdfast-network-test")).value();
  std::unique_ptr<deploy::network::CniAttachments> attachments;
  std::vector<std::string> ids;

  deploy::network::CniOptions options() const {
    return {.state_dir = dir.path() / "state",
            .run_dir = dir.path() / "run",
            .instance = "test",
            .subnet = kSubnet};
  }
  Network() { reopen(); }
  ~Network() {
    for (const auto& id : ids) (void)attachments->detach(id);
  }
  void reopen() {
    auto opened = deploy::network::CniAttachments::open(options());
    ASSERT_TRUE(opened) << opened.error().to_string();
    attachments = std::move(*opened);
  }
  deploy::network::Attachment attach(const std::string& id) {
    ids.push_back(id);
    const auto attached = attachments->attach(id);
    EXPECT_TRUE(attached) << attached.error().to_string();
    return attached ? *attached : deploy::network::Attachment{};
  }
};

}  // namespace holdfast::test
