// Who reaches what: neighbours with routes of their own, and a host that is no router.
#include <gmock/gmock.h>

#include <thread>

#include "deploy/network/host_facts.hpp"
#include "deploy/network/kernel/sysctl.hpp"
#include "deploy/network/nft/forwarding.hpp"
#include "tests/component/deploy/network/publisher_host.hpp"
#include "tests/support/told.hpp"

namespace holdfast::deploy::network {
namespace {

constexpr std::string_view kEverywhere = "net/ipv4/ip_forward";
constexpr Address kFar = 0x0AC00002;  // 10.192.0.2

/// A second network beyond the host.
struct Far {
  std::filesystem::path netns;
  explicit Far(const std::filesystem::path& directory) : netns(directory / "far") {
    EXPECT_TRUE(pin_new_netns(netns));
    sh({"ip", "link", "add", "hf-far", "type", "veth", "peer", "name", "hf-far-in"});
    sh({"ip", "addr", "add", "10.192.0.1/24", "dev", "hf-far"});
    sh({"ip", "link", "set", "hf-far", "up"});
    const os::UniqueFd fd{::open(netns.c_str(), O_RDONLY | O_CLOEXEC)};
    sh({"ip", "link", "set", "hf-far-in", "netns",
        fmt::format("/proc/{}/fd/{}", getpid(), fd.get())});
    inside(netns, [] {
      sh({"ip", "addr", "add", "10.192.0.2/24", "dev", "hf-far-in"});
      sh({"ip", "link", "set", "hf-far-in", "up"});
      sh({"ip", "route", "add", "default", "via", "10.192.0.1"});
      return true;
    });
  }
  ~Far() {
    sh({"ip", "link", "del", "hf-far"});
    EXPECT_TRUE(unpin_netns(netns));
  }
};

/// The test's host inherits the parameter from the machine that the test runs on.
bool forward_everywhere(std::string_view value) {
  sh({"sysctl", "-qw", fmt::format("net.ipv4.ip_forward={}", value)});
  return true;
}

class ReachTest : public PublisherHost {
 protected:
  ReachTest() { reopen(); }
  void reopen() {
    forward_everywhere("0");
    auto opened = NftPublisher::open(kOptions);
    ASSERT_TRUE(opened) << opened.error().to_string();
    publisher = std::move(*opened);
  }
  Far far{network.dir.path()};
  TinyServer distant{far.netns, "distant", 7000};
};

TEST_F(ReachTest, ANeighbourReachesWhatIsPublishedAndNothingElse) {
  apply(to(a));
  // `outside` has a default route by way of this host, so a route of its own to every address here.
  EXPECT_EQ(ask_once(outside.netns, kOutsideHost, 80), "A 10.191.0.2") << "published";
  EXPECT_EQ(ask_once(outside.netns, kOutsideHost, 80, SOCK_DGRAM), "A 10.191.0.2") << "published";
  EXPECT_EQ(ask_once(outside.netns, a.address, kPort), "") << "an instance's own address";
  EXPECT_EQ(ask_once(outside.netns, a.address, kPort, SOCK_DGRAM), "");
  EXPECT_EQ(ask_once(outside.netns, b.address, kPort), "") << "an unpublished instance";
  EXPECT_EQ(ask_once(outside.netns, kWeb, kPort), "") << "a service address";
  EXPECT_EQ(ask_once(outside.netns, kWeb, kPort, SOCK_DGRAM), "");
  EXPECT_EQ(ask_once(outside.netns, kOutsideHost, 9000), "") << "published on 127.0.0.1 only";
  EXPECT_EQ(ask_once(b.netns, a.address, kPort), fmt::format("A {}", plan::address_text(b.address)))
      << "instances reach each other";
  EXPECT_EQ(ask_once(a.netns, kOutsideClient, 7000), "") << "nobody listens there";
  const TinyServer beyond{outside.netns, "beyond", 7000};
  EXPECT_EQ(ask_once(a.netns, kOutsideClient, 7000), "beyond 10.191.0.1") << "and the outside";
}

TEST_F(ReachTest, AHostThatWasNoRouterForwardsForItsInstancesOnly) {
  apply(to(a));
  EXPECT_EQ(ask_once(outside.netns, kOutsideHost, 80), "A 10.191.0.2");
  EXPECT_EQ(ask_once(a.netns, kFar, 7000), "distant 10.192.0.1");
  EXPECT_EQ(ask_once(outside.netns, kFar, 7000), "");
  EXPECT_EQ(*read_sysctl(kEverywhere), "0");
  const auto another = network.attach("web-c");
  EXPECT_NE(another.address, 0U);
  EXPECT_EQ(*read_sysctl(kEverywhere), "0") << "the plugin ptp turns it on where it can";
  EXPECT_EQ(ask_once(another.netns, kFar, 7000), "distant 10.192.0.1");
  sh({"ip", "link", "add", "hf-late", "type", "veth", "peer", "name", "hf-late-in"});
  EXPECT_EQ(*read_sysctl("net/ipv4/conf/hf-late/forwarding"), "1") << "links that come later too";
  sh({"ip", "link", "del", "hf-late"});
}

TEST_F(ReachTest, SomebodyElsesRouterStaysOneAndIsNoticed) {
  apply(to(a));
  const test::Told told;
  publisher->watch([told] { ++told; });
  forward_everywhere("1");
  EXPECT_TRUE(soon([&] { return told > 0; })) << "by an event, not at the next resync";
  ASSERT_FALSE(publisher->observe());
  apply(to(a));
  EXPECT_EQ(ask_once(outside.netns, kFar, 7000), "distant 10.191.0.2");
  EXPECT_EQ(ask_once(outside.netns, a.address, kPort), "") << "instances are no part of that";
  told.forget();
  forward_everywhere("0");
  EXPECT_TRUE(soon([&] { return told > 0; }));
  ASSERT_FALSE(publisher->observe());
  apply(to(a));
  EXPECT_EQ(ask_once(outside.netns, kOutsideHost, 80), "A 10.191.0.2");
  EXPECT_EQ(ask_once(outside.netns, kFar, 7000), "");
  // A switch of our own is no change by somebody else.
  os::sleep_until(SystemClock{}.boot() + 50ms, {});
  told.forget();
  for (int i = 0; i < 20; ++i) apply(i % 2 == 0 ? to(b) : to(a));
  os::sleep_until(SystemClock{}.boot() + 50ms, {});
  EXPECT_EQ(told, 0);
}

TEST_F(ReachTest, WhatForwardsIsPutBackWithTheLastAgent) {
  auto other = *Forwarding::open("other", {0x0AC80000, 16}, {});
  ASSERT_TRUE(other.ensure());
  ASSERT_TRUE(publisher->remove_all());
  EXPECT_THAT(sh({"nft", "list", "table", "ip", "holdfast"}), HasSubstr("10.200.0.0/16"));
  EXPECT_EQ(*read_sysctl("net/ipv4/conf/hf-far/forwarding"), "1");
  ASSERT_TRUE(other.remove());
  EXPECT_THAT(sh({"nft", "list", "tables"}), Not(HasSubstr("holdfast")));
  for (const auto* link : {"hf-far", "lo", "default", "all"})
    EXPECT_EQ(*read_sysctl(fmt::format("net/ipv4/conf/{}/forwarding", link)), "0") << link;
}

/// Its links forward one by one, and ip_forward is 0.
TEST_F(ReachTest, ARouterByItsLinksStaysOneWithAgentsAndAfterThem) {
  ASSERT_TRUE(publisher->remove_all());
  publisher.reset();
  for (const auto* link : {"hf-far", "hf-out"})
    sh({"sysctl", "-qw", fmt::format("net.ipv4.conf.{}.forwarding=1", link)});
  ASSERT_EQ(ask_once(outside.netns, kFar, 7000), "distant 10.191.0.2");
  auto options = kOptions;
  options.run_dir = network.dir.path();
  const auto open = [&] { publisher = *NftPublisher::open(options); };
  open();
  apply(to(a));
  EXPECT_EQ(ask_once(outside.netns, kFar, 7000), "distant 10.191.0.2");
  EXPECT_EQ(ask_once(outside.netns, a.address, kPort), "") << "instances are no part of that";
  auto other = *Forwarding::open("other", {0x0AC80000, 16}, {});
  ASSERT_TRUE(other.ensure());
  sh({"nft", "flush", "ruleset"});
  EXPECT_FALSE(publisher->observe());
  publisher.reset();
  open();  // another life, which finds all links forwarding and no table
  apply(to(a));
  EXPECT_EQ(ask_once(outside.netns, kFar, 7000), "distant 10.191.0.2");
  sh({"ip", "link", "add", "hf-later", "type", "veth", "peer", "name", "hf-later-in"});
  ASSERT_TRUE(publisher->remove_all());
  EXPECT_EQ(*read_sysctl("net/ipv4/conf/hf-later/forwarding"), "0") << "it came later";
  EXPECT_EQ(*read_sysctl("net/ipv4/conf/hf-far/forwarding"), "1");
  EXPECT_EQ(ask_once(outside.netns, kFar, 7000), "distant 10.191.0.2");
}

TEST_F(ReachTest, WhoComesWhileTheLastOneGoesForwards) {
  ASSERT_TRUE(publisher->remove_all());
  publisher.reset();
  for (int round = 0; round < 30; ++round) {
    auto last = *Forwarding::open("last", {0x0AC80000, 16}, {});
    ASSERT_TRUE(last.ensure());
    auto next = *Forwarding::open("next", {0x0ACA0000, 16}, {});
    {
      const std::jthread goes([&] { EXPECT_TRUE(last.remove()); });
      EXPECT_TRUE(next.ensure());
    }
    const auto forwards = next.check();
    ASSERT_TRUE(forwards) << "round " << round << ": " << forwards.error().to_string();
    const auto whole = next.check_table();
    ASSERT_TRUE(whole) << "round " << round << ": " << whole.error().to_string();
    EXPECT_THAT(sh({"nft", "list", "table", "ip", "holdfast"}), HasSubstr("10.202.0.0/16"));
    ASSERT_TRUE(next.remove());
  }
  reopen();
}

TEST_F(ReachTest, OthersThatComeAndGoAreNoAlteration) {
  apply(to(a));
  const std::jthread others([](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      auto other = *Forwarding::open("other", {0x0AC80000, 16}, {});
      EXPECT_TRUE(other.ensure());
      EXPECT_TRUE(other.remove());
    }
  });
  for (int look = 0; look < 3'000; ++look) {
    const auto seen = publisher->observe();
    ASSERT_TRUE(seen) << "look " << look << ": " << seen.error().to_string();
  }
}

TEST_F(ReachTest, AnAlteredTableOfAllAgentsIsNoticed) {
  apply(to(a));
  for (const auto& deed : std::vector<std::vector<std::string>>{
           {"nft", "delete", "table", "ip", "holdfast"},
           {"nft", "insert", "rule", "ip", "holdfast", "forward", "accept"}}) {
    sh(deed);
    EXPECT_FALSE(publisher->observe());
    apply(to(a));
    EXPECT_EQ(*publisher->observe(), to(a));
    EXPECT_EQ(ask_once(outside.netns, kFar, 7000), "");
  }
}

TEST_F(ReachTest, AnAddressThatIsNotTheHostsLeadsNowhere) {
  const Address foreign = kFar;
  apply({.ports = {{PortKey{foreign, Transport::tcp, 7000}, {a.address, kPort}}},
         .services = {},
         .staged = {}});
  EXPECT_EQ(ask_once({}, foreign, 7000), "distant 10.192.0.1") << "the host's own traffic to it";
  EXPECT_EQ(ask_once(b.netns, foreign, 7000), "distant 10.192.0.1") << "an instance's";
  EXPECT_FALSE(host_addresses().contains(foreign));
  sh({"ip", "addr", "add", "10.192.0.2/32", "dev", "lo"});
  EXPECT_TRUE(host_addresses().contains(foreign));
  EXPECT_THAT(ask_once({}, foreign, 7000), HasSubstr("A ")) << "it moved to this host";
  sh({"ip", "addr", "del", "10.192.0.2/32", "dev", "lo"});
}

TEST_F(ReachTest, ANeighbourCannotSpeakForAnInstance) {
  apply(to(a));
  const auto text = plan::address_text(b.address);
  inside(outside.netns, [&] {
    sh({"ip", "addr", "add", text + "/32", "dev", "hf-in"});
    return true;
  });
  const TinyServer host{{}, "host", 7100};
  inside(outside.netns, [&] {
    const auto fd = dial(kOutsideHost, 7100, SOCK_DGRAM, b.address);
    return ask(fd.get());
  });
  EXPECT_THAT(sh({"nft", "list", "set", "ip", "holdfast_test", "hairpin"}), Not(HasSubstr(text)));
  sh({"nft", "flush", "chain", "ip", "holdfast_test", "guard"});
  inside(outside.netns, [&] {
    const auto fd = dial(kOutsideHost, 7100, SOCK_DGRAM, b.address);
    return ask(fd.get());
  });
  EXPECT_THAT(sh({"nft", "list", "set", "ip", "holdfast_test", "hairpin"}), HasSubstr(text))
      << "so it was the chain that kept it out";
}

TEST_F(ReachTest, TheMetadataOfACloudIsNotForContainers) {
  apply(to(a));
  sh({"ip", "addr", "add", "169.254.169.254/32", "dev", "lo"});
  inside(far.netns, [] {
    sh({"ip", "addr", "add", "169.254.7.7/32", "dev", "hf-far-in"});
    sh({"ip", "route", "replace", "10.192.0.0/24", "dev", "hf-far-in", "src", "169.254.7.7"});
    return true;
  });
  sh({"ip", "route", "add", "169.254.7.7", "via", "10.192.0.2"});
  constexpr Address kHostMetadata = 0xA9FEA9FE;
  constexpr Address kFarMetadata = 0xA9FE0707;
  const TinyServer names{far.netns, "names", 53};
  EXPECT_EQ(ask_once({}, kHostMetadata, 7000), "") << "nobody listens there";
  EXPECT_EQ(ask_once(b.netns, kFarMetadata, 7000), "");
  EXPECT_EQ(ask_once({}, kFarMetadata, 7000), "distant 10.192.0.1") << "the host may";
  EXPECT_EQ(ask_once(b.netns, kFarMetadata, 53, SOCK_DGRAM), "names 10.192.0.1") << "name servers";
  EXPECT_EQ(ask_once(b.netns, kFarMetadata, 53), "names 10.192.0.1");
  for (const auto& [address, text] : {std::pair{Address{0x646464C8}, "100.100.100.200"},
                                      std::pair{Address{0xA83F8110}, "168.63.129.16"}}) {
    sh({"ip", "route", "add", text, "via", "10.192.0.2"});
    inside(far.netns, [&text = text] {
      sh({"ip", "addr", "add", std::string{text} + "/32", "dev", "hf-far-in"});
      return true;
    });
    EXPECT_EQ(ask_once({}, address, 7000), "distant 10.192.0.1") << text;
    EXPECT_EQ(ask_once(b.netns, address, 7000), "") << text;
    EXPECT_EQ(ask_once(b.netns, address, 53), "names 10.192.0.1") << text;
  }
  sh({"ip", "addr", "add", "169.254.170.2/32", "dev", "lo"});
  const TinyServer own{{}, "own", 8100};
  EXPECT_EQ(ask_once({}, 0xA9FEAA02, 8100), "own 169.254.170.2");
  EXPECT_EQ(ask_once(b.netns, 0xA9FEAA02, 8100), "") << "an address of the host itself";

  auto allowed = kOptions;
  allowed.allow_link_local = true;
  publisher = *NftPublisher::open(allowed);
  EXPECT_EQ(ask_once(b.netns, kFarMetadata, 7000), "distant 10.192.0.1");
  EXPECT_NE(ask_once(b.netns, 0xA9FEAA02, 8100), "");
  for (const auto* address : {"169.254.169.254/32", "169.254.170.2/32"})
    sh({"ip", "addr", "del", address, "dev", "lo"});
}

}  // namespace
}  // namespace holdfast::deploy::network
