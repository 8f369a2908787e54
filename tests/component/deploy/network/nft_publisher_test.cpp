#include <gmock/gmock.h>

#include <mutex>
#include <set>

#include "tests/component/deploy/network/publisher_host.hpp"

namespace holdfast::deploy::network {
namespace {

class NftPublisherTest : public PublisherHost {};

double ms_since(BootTime start) {
  return std::chrono::duration<double, std::milli>(SystemClock{}.boot() - start).count();
}

TEST_F(NftPublisherTest, APublishedPortIsReachedFromEverywhere) {
  apply(to(a));
  EXPECT_EQ(ask_once(outside.netns, kOutsideHost, 80), "A 10.191.0.2")
      << "with the client's own address";
  EXPECT_EQ(ask_once({}, kOutsideHost, 80), "A 10.191.0.1") << "the host by its own address";
  EXPECT_EQ(ask_once({}, kLoopback, 80), "A 10.189.0.1") << "127.0.0.1";
  EXPECT_EQ(ask_once({}, kLoopback, 9000), "A 10.189.0.1") << "published on 127.0.0.1 only";
  EXPECT_EQ(ask_once(outside.netns, kOutsideHost, 9000), "") << "published on 127.0.0.1 only";
  EXPECT_EQ(ask_once(b.netns, kOutsideHost, 80),
            fmt::format("A {}", plan::address_text(b.address)));
  EXPECT_EQ(ask_once(a.netns, kOutsideHost, 80), "A 10.189.0.1")
      << "an instance through its own published port";
}

TEST_F(NftPublisherTest, AServiceAddressIsReachedByContainersAndTheHost) {
  apply(to(a));
  EXPECT_EQ(ask_once(b.netns, kWeb, kPort), fmt::format("A {}", plan::address_text(b.address)))
      << "the source is kept";
  EXPECT_EQ(ask_once(a.netns, kWeb, kPort), "A 10.189.0.1") << "itself";
  EXPECT_EQ(ask_once({}, kWeb, kPort), "A 10.189.0.1") << "the host";
}

TEST_F(NftPublisherTest, UdpTakesTheSameWays) {
  apply(to(a));
  EXPECT_EQ(ask_once(outside.netns, kOutsideHost, 80, SOCK_DGRAM), "A 10.191.0.2");
  EXPECT_EQ(ask_once({}, kLoopback, 80, SOCK_DGRAM), "A 10.189.0.1");
  EXPECT_EQ(ask_once(b.netns, kWeb, kPort, SOCK_DGRAM),
            fmt::format("A {}", plan::address_text(b.address)));
  EXPECT_EQ(ask_once(a.netns, kWeb, kPort, SOCK_DGRAM), "A 10.189.0.1");
}

TEST_F(NftPublisherTest, WhatIsObservedIsWhatWasApplied) {
  EXPECT_EQ(*publisher->observe(), RoutingTable{});
  auto wanted = to(a);
  wanted.staged[{b.address, kDb}] = b.address;
  apply(wanted);
  EXPECT_EQ(*publisher->observe(), wanted);
  apply(to(b));
  EXPECT_EQ(*publisher->observe(), to(b));
  apply({});
  EXPECT_EQ(*publisher->observe(), RoutingTable{});
}

TEST_F(NftPublisherTest, AStagedInstanceSeesTheNewInstancesAndOthersTheOld) {
  auto wanted = to(a);
  wanted.staged[{b.address, kWeb}] = b.address;
  apply(wanted);
  EXPECT_EQ(ask_once(b.netns, kWeb, kPort), "B 10.189.0.1");
  EXPECT_EQ(ask_once(a.netns, kWeb, kPort), "A 10.189.0.1");
  EXPECT_EQ(ask_once({}, kWeb, kPort), "A 10.189.0.1");
}

// A packet that the table led before a switch away from its instance, and that leaves after it: was
// sent to the instance with its own address as source, which it drops, at every repetition.
TEST_F(NftPublisherTest, AnInstanceOnTheWayToItselfIsMasqueradedAcrossASwitch) {
  apply(to(b));
  EXPECT_EQ(ask_once(b.netns, kWeb, kPort), "B 10.189.0.1");
  apply(to(a));
  sh({"nft", fmt::format("add table ip before; add chain ip before way {{ type nat hook prerouting "
                         "priority -110; }}; add rule ip before way ip daddr 10.191.0.1 dnat to {}",
                         plan::address_text(b.address))});
  EXPECT_EQ(ask_once(b.netns, kOutsideHost, kPort), "B 10.189.0.1");
  sh({"nft", "delete table ip before"});
}

TEST_F(NftPublisherTest, AServiceAddressWithoutAnInstanceIsRefusedAtOnceAndNeverAnsweredByTheHost) {
  const TinyServer host{{}, "host", kPort};
  const auto start = SystemClock{}.boot();
  EXPECT_EQ(ask_once({}, kDb, kPort), "");
  EXPECT_EQ(ask_once(a.netns, kDb, kPort), "");
  EXPECT_LT(ms_since(start), 500);
}

TEST_F(NftPublisherTest, InstancesCannotReachTheLoopbackOfTheHost) {
  const TinyServer host{{}, "host", kPort};
  inside(a.netns, [] {
    sh({"ip", "addr", "del", "127.0.0.1/8", "dev", "lo"});
    sh({"ip", "route", "add", "127.0.0.0/8", "via", "10.189.0.1", "dev", "eth0"});
    sh({"sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1"});
    return true;
  });
  EXPECT_EQ(ask_once(a.netns, kLoopback, kPort), "");
  sh({"nft", "flush", "chain", "ip", "holdfast_test", "guard"});
  EXPECT_THAT(ask_once(a.netns, kLoopback, kPort), HasSubstr("host"))
      << "so it was the chain that kept it out";
  EXPECT_FALSE(publisher->observe());
}

TEST_F(NftPublisherTest, InstancesReachTheOutsideByTheHostsAddress) {
  const TinyServer far{outside.netns, "far", 7000};
  EXPECT_EQ(ask_once(a.netns, kOutsideClient, 7000), "far 10.191.0.1");
}

TEST_F(NftPublisherTest, EstablishedConnectionsStayWhileNewOnesMove) {
  apply(to(a));
  const auto old = inside(outside.netns, [] { return dial(kOutsideHost, 80); });
  EXPECT_EQ(ask(old.get()), "A 10.191.0.2");
  apply(to(b));
  EXPECT_EQ(ask(old.get()), "A 10.191.0.2");
  EXPECT_EQ(ask_once(outside.netns, kOutsideHost, 80), "B 10.191.0.2");
  EXPECT_EQ(ask(old.get()), "A 10.191.0.2");
  EXPECT_EQ(open_to(a), 1U);
  // The kernel takes a moment to see the end of the short one.
  EXPECT_TRUE(soon([&] { return publisher->connections({b.address})->at(b.address) == 0U; }));
  EXPECT_EQ(publisher->connections({a.address, b.address})->at(a.address), 1U);
}

TEST_F(NftPublisherTest, ACutConnectionIsResetAndCounted) {
  apply(to(a));
  const auto old = inside(outside.netns, [] { return dial(kOutsideHost, 80); });
  const auto local = dial(kLoopback, 80);
  EXPECT_EQ(ask(old.get()), "A 10.191.0.2");
  EXPECT_EQ(ask(local.get()), "A 10.189.0.1");
  const auto direct = dial(a.address, kPort);  // as a probe of the agent
  EXPECT_EQ(ask(direct.get()), "A 10.189.0.1");
  apply(to(b));
  EXPECT_EQ(open_to(a), 2U);
  EXPECT_EQ(*publisher->cut(a.address, {}), 2U);
  EXPECT_EQ(open_to(a), 0U);
  EXPECT_EQ(ask(old.get()), "");
  EXPECT_EQ(errno, ECONNRESET);
  EXPECT_EQ(*publisher->cut(a.address, {}), 0U);
}

TEST_F(NftPublisherTest, UdpFlowsMoveAtTheSwitch) {
  apply(to(a));
  const auto from_outside =
      inside(outside.netns, [] { return dial(kOutsideHost, 80, SOCK_DGRAM); });
  const auto from_container = inside(b.netns, [] { return dial(kWeb, kPort, SOCK_DGRAM); });
  EXPECT_EQ(ask(from_outside.get()), "A 10.191.0.2");
  EXPECT_THAT(ask(from_container.get()), HasSubstr("A "));
  apply(to(b));
  EXPECT_TRUE(soon([&] { return ask(from_outside.get()) == "B 10.191.0.2"; }));
  EXPECT_TRUE(soon([&] { return ask(from_container.get()).starts_with("B "); }));
}

TEST_F(NftPublisherTest, AUdpFlowThatCameTooEarlyFindsTheInstanceOnceItIsPublished) {
  const auto early = inside(outside.netns, [] { return dial(kOutsideHost, 80, SOCK_DGRAM); });
  EXPECT_EQ(ask(early.get()), "");
  apply(to(a));
  EXPECT_TRUE(soon([&] { return ask(early.get()) == "A 10.191.0.2"; }));
}

TEST_F(NftPublisherTest, NoRequestFailsUnderAStreamOfConnectionsWhileVersionsSwitch) {
  apply(to(a));
  std::atomic<bool> stop = false;
  std::atomic<int> asked = 0;
  std::mutex mutex;
  std::vector<std::string> failures;
  std::vector<std::jthread> clients;
  const auto stream = [&](std::filesystem::path from, Address address, std::uint16_t port,
                          Address source) {
    inside(from, [&] {
      while (!stop) {
        // A pause, as two cores that do nothing else keep the kernel from finishing with the
        // previous transaction.
        os::sleep_until(SystemClock{}.boot() + 1ms, {});
        const auto start = SystemClock{}.boot();
        const auto fd = dial(address, port, SOCK_STREAM, source);
        const auto text = fd ? ask(fd.get()) : std::string{};
        const int error = errno;
        ++asked;
        if (text.starts_with("A ") || text.starts_with("B ")) continue;
        const std::scoped_lock lock{mutex};
        failures.push_back(fmt::format("{} to {}: {} after {:.1f} ms", fd ? "asking" : "connecting",
                                       plan::address_text(address), strerror(error),
                                       ms_since(start)));
      }
      return true;
    });
  };
  clients.emplace_back(stream, outside.netns, kOutsideHost, std::uint16_t{80}, Address{0});
  clients.emplace_back(stream, std::filesystem::path{}, kLoopback, std::uint16_t{80},
                       Address{0x7F000002});
  clients.emplace_back(stream, b.netns, kWeb, kPort, Address{0});
  constexpr int kSwitches = 40;
  std::vector<double> taken;
  for (int i = 0; i < kSwitches; ++i) {
    os::sleep_until(SystemClock{}.boot() + 40ms, {});
    const auto start = SystemClock{}.boot();
    apply(i % 2 == 0 ? to(b) : to(a));
    taken.push_back(ms_since(start));
  }
  stop = true;
  clients.clear();
  std::sort(taken.begin(), taken.end());
  fmt::print(
      "{} requests over {} switches, {} failed; a switch takes {:.3f} ms (median), {:.3f} ms "
      "(longest)\n",
      asked.load(), kSwitches, failures.size(), taken[kSwitches / 2], taken.back());
  EXPECT_THAT(failures, testing::IsEmpty());
  EXPECT_GT(asked, 1000);
  EXPECT_LT(taken[kSwitches / 2], 20);
}

TEST_F(NftPublisherTest, AnotherLifeOfTheAgentFindsWhatIsPublishedWithoutAGap) {
  apply(to(a));
  const auto old = inside(outside.netns, [] { return dial(kOutsideHost, 80); });
  publisher.reset();
  EXPECT_EQ(ask_once(outside.netns, kOutsideHost, 80), "A 10.191.0.2");
  publisher = open();
  EXPECT_EQ(*publisher->observe(), to(a));
  EXPECT_EQ(ask(old.get()), "A 10.191.0.2");
  EXPECT_EQ(ask_once(outside.netns, kOutsideHost, 80), "A 10.191.0.2");
}

TEST_F(NftPublisherTest, AForwardChainThatDropsLetsOurTrafficPassAndIsLeftAsItWas) {
  sh({"iptables", "-P", "FORWARD", "DROP"});
  EXPECT_FALSE(publisher->observe()) << "noticed";
  apply(to(a));
  EXPECT_EQ(ask_once(outside.netns, kOutsideHost, 80), "A 10.191.0.2");
  EXPECT_EQ(ask_once(b.netns, kWeb, kPort), fmt::format("A {}", plan::address_text(b.address)));
  const auto rules = sh({"iptables", "-S", "FORWARD"});
  EXPECT_THAT(rules, HasSubstr("holdfast:test"));
  apply(to(b));
  EXPECT_EQ(sh({"iptables", "-S", "FORWARD"}), rules) << "not inserted twice";
  EXPECT_TRUE(publisher->remove_all());
  EXPECT_THAT(sh({"iptables", "-S", "FORWARD"}), Not(HasSubstr("holdfast:test")));
  sh({"iptables", "-P", "FORWARD", "ACCEPT"});
}

TEST_F(NftPublisherTest, WithDockerTheRulesAreInTheChainThatDockerLeavesAlone) {
  sh({"iptables", "-N", "DOCKER-USER"});
  sh({"iptables", "-I", "FORWARD", "-j", "DOCKER-USER"});
  sh({"iptables", "-P", "FORWARD", "DROP"});
  apply(to(a));
  EXPECT_EQ(ask_once(outside.netns, kOutsideHost, 80), "A 10.191.0.2");
  EXPECT_THAT(sh({"iptables", "-S", "DOCKER-USER"}), HasSubstr("holdfast:test"));
  EXPECT_TRUE(publisher->remove_all());
  EXPECT_THAT(sh({"iptables", "-S"}), Not(HasSubstr("holdfast:test")));
  sh({"iptables", "-P", "FORWARD", "ACCEPT"});
  sh({"iptables", "-F"});
  sh({"iptables", "-X", "DOCKER-USER"});
}

TEST_F(NftPublisherTest, ThousandsOfEntriesChangeInOneTransaction) {
  RoutingTable large = to(a);
  for (std::uint16_t port = 10'000; port < 13'000; ++port)
    large.ports[{0, Transport::tcp, port}] = {a.address, kPort};
  const auto start = SystemClock{}.boot();
  apply(large);
  fmt::print("3000 more ports take {:.2f} ms\n", ms_since(start));
  EXPECT_EQ(*publisher->observe(), large);
  EXPECT_EQ(ask_once(outside.netns, kOutsideHost, 12'999), "A 10.191.0.2");
  apply(to(a));
  EXPECT_EQ(*publisher->observe(), to(a));
}

TEST_F(NftPublisherTest, ObservingAnUnchangedRulesetCostsMicroseconds) {
  apply(to(a));
  (void)publisher->observe();
  constexpr int kTimes = 1000;
  auto start = SystemClock{}.boot();
  for (int i = 0; i < kTimes; ++i) ASSERT_TRUE(publisher->observe());
  fmt::print("an unchanged ruleset is observed in {:.1f} us\n", ms_since(start) * 1000 / kTimes);
  start = SystemClock{}.boot();
  for (int i = 0; i < kTimes; ++i) ASSERT_TRUE(publisher->apply(i % 2 == 0 ? to(b) : to(a)));
  fmt::print("a switch without load takes {:.1f} us\n", ms_since(start) * 1000 / kTimes);
  EXPECT_LT(ms_since(start) / kTimes, 10);
}

}  // namespace
}  // namespace holdfast::deploy::network
