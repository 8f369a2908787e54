#pragma once
/// \file
/// A host with two instances, a client beyond it, and the table that leads to them. Needs root.

#include <fcntl.h>
#include <gmock/gmock.h>

#include "common/base/clock.hpp"
#include "deploy/network/nft_publisher.hpp"
#include "tests/component/deploy/network/private_host.hpp"

namespace holdfast::deploy::network {

// What the tests beside it are written in.
using namespace std::chrono_literals;
using proto::Transport;
using test::ask;
using test::ask_once;
using test::dial;
using test::inside;
using test::kServiceSubnet;
using test::kSubnet;
using test::sh;
using test::TinyServer;
using testing::HasSubstr;
using testing::Not;

inline constexpr Address kLoopback = 0x7F000001;
inline constexpr Address kOutsideHost = 0x0ABF0001;  // 10.191.0.1, the host as the outside sees it
inline constexpr Address kOutsideClient = 0x0ABF0002;  // 10.191.0.2
inline constexpr Address kWeb = 0x0ABE0005;            // 10.190.0.5
inline constexpr Address kDb = 0x0ABE0006;
inline constexpr std::uint16_t kPort = 8080;

inline const RulesetOptions kOptions{
    .instance = "test", .subnet = kSubnet, .service_subnet = kServiceSubnet};

/// Asks again and again: UDP flows are moved by a thread, and a datagram on the way then may get
/// lost.
template <class Question>
bool soon(Question question) {
  const auto deadline = SystemClock{}.boot() + 4s;
  while (SystemClock{}.boot() < deadline) {
    if (question()) return true;
    os::sleep_until(SystemClock{}.boot() + 5ms, {});
  }
  return false;
}

/// A namespace beyond the host, as a client on the network is.
struct Outside {
  std::filesystem::path netns;
  explicit Outside(const std::filesystem::path& directory) : netns(directory / "outside") {
    EXPECT_TRUE(pin_new_netns(netns));
    sh({"ip", "link", "add", "hf-out", "type", "veth", "peer", "name", "hf-in"});
    sh({"ip", "addr", "add", "10.191.0.1/24", "dev", "hf-out"});
    sh({"ip", "link", "set", "hf-out", "up"});
    const os::UniqueFd fd{::open(netns.c_str(), O_RDONLY | O_CLOEXEC)};
    sh({"ip", "link", "set", "hf-in", "netns", fmt::format("/proc/{}/fd/{}", getpid(), fd.get())});
    inside(netns, [] {
      sh({"ip", "addr", "add", "10.191.0.2/24", "dev", "hf-in"});
      sh({"ip", "link", "set", "hf-in", "up"});
      sh({"ip", "route", "add", "default", "via", "10.191.0.1"});
      return true;
    });
  }
  ~Outside() {
    sh({"ip", "link", "del", "hf-out"});
    EXPECT_TRUE(unpin_netns(netns));
  }
};

/// A client outside, two instances that answer with their names, and the publisher.
class PublisherHost : public testing::Test {
 protected:
  test::Network network;
  Outside outside{network.dir.path()};
  Attachment a = network.attach("web-a");
  Attachment b = network.attach("web-b");
  TinyServer server_a{a.netns, "A", kPort};
  TinyServer server_b{b.netns, "B", kPort};
  std::unique_ptr<NftPublisher> publisher = open();

  static std::unique_ptr<NftPublisher> open() {
    auto opened = NftPublisher::open(kOptions);
    EXPECT_TRUE(opened) << opened.error().to_string();
    return std::move(*opened);
  }
  void SetUp() override {
    // What is left of connections of earlier tests, whose instances had the same addresses.
    for (const auto& instance : {a, b}) EXPECT_TRUE(publisher->cut(instance.address, {}));
  }
  void TearDown() override {
    if (!publisher) publisher = open();  // a test that failed without one
    const auto removed = publisher->remove_all();
    EXPECT_TRUE(removed) << removed.error().to_string();
    EXPECT_THAT(sh({"nft", "list", "tables"}), Not(HasSubstr("holdfast")));
    EXPECT_THAT(sh({"ip", "route", "show", "table", "local"}), Not(HasSubstr("10.190")));
  }
  /// As the engine does.
  void apply(const RoutingTable& wanted) {
    if (publisher->apply(wanted)) return;
    const auto restored = publisher->restore(wanted);
    ASSERT_TRUE(restored) << restored.error().to_string();
  }
  std::uint32_t open_to(const Attachment& target) {
    return publisher->connections({target.address})->at(target.address);
  }
  /// Port 80 of the host, the service address and UDP, all to one instance.
  static RoutingTable to(const Attachment& target) {
    return {.ports = {{PortKey{0, Transport::tcp, 80}, {target.address, kPort}},
                      {PortKey{0, Transport::udp, 80}, {target.address, kPort}},
                      {PortKey{kLoopback, Transport::tcp, 9000}, {target.address, kPort}}},
            .services = {{kWeb, target.address}},
            .staged = {}};
  }
};

}  // namespace holdfast::deploy::network
