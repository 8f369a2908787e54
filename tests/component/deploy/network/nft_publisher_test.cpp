#include "deploy/network/nft_publisher.hpp"

#include <gmock/gmock.h>

#include <set>

#include "tests/component/deploy/network/private_host.hpp"

namespace holdfast::deploy::network {
namespace {

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

constexpr Address kLoopback = 0x7F000001;
constexpr Address kOutsideHost = 0x0ABF0001;    // 10.191.0.1, the host as the outside sees it
constexpr Address kOutsideClient = 0x0ABF0002;  // 10.191.0.2
constexpr Address kWeb = 0x0ABE0005;            // 10.190.0.5
constexpr Address kDb = 0x0ABE0006;
constexpr std::uint16_t kPort = 8080;

const RulesetOptions kOptions{
    .instance = "test", .subnet = kSubnet, .service_subnet = kServiceSubnet};

double ms_since(BootTime start) {
  return std::chrono::duration<double, std::milli>(SystemClock{}.boot() - start).count();
}

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

class NftPublisherTest : public testing::Test {
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
  void TearDown() override {
    const auto removed = publisher->remove_all();
    EXPECT_TRUE(removed) << removed.error().to_string();
    EXPECT_THAT(sh({"nft", "list", "tables"}), Not(HasSubstr("holdfast")));
    EXPECT_THAT(sh({"ip", "route", "show", "table", "local"}), Not(HasSubstr("10.190")));
  }
  void apply(const RoutingTable& wanted) {
    const auto applied = publisher->apply(wanted);
    ASSERT_TRUE(applied) << applied.error().to_string();
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
  std::atomic<int> failed = 0;
  std::vector<std::jthread> clients;
  const auto stream = [&](std::filesystem::path from, Address address, std::uint16_t port,
                          Address source) {
    inside(from, [&] {
      while (!stop) {
        // A pause, as two cores that do nothing else keep the kernel from finishing with the
        // previous transaction.
        os::sleep_until(SystemClock{}.boot() + 1ms, {});
        const auto fd = dial(address, port, SOCK_STREAM, source);
        const auto text = fd ? ask(fd.get()) : std::string{};
        ++asked;
        if (!text.starts_with("A ") && !text.starts_with("B ")) ++failed;
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
      asked.load(), kSwitches, failed.load(), taken[kSwitches / 2], taken.back());
  EXPECT_EQ(failed, 0);
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

TEST_F(NftPublisherTest, EveryTamperingIsNoticedAndRepaired) {
  const std::vector<std::vector<std::string>> deeds{
      {"nft", "flush", "ruleset"},
      {"nft", "delete", "table", "ip", "holdfast_test"},
      {"nft", "flush", "chain", "ip", "holdfast_test", "route"},
      {"nft", "add", "rule", "ip", "holdfast_test", "route", "accept"},
      {"nft", "insert", "rule", "ip", "holdfast_test", "prerouting", "return"},
      {"nft", "add", "chain", "ip", "holdfast_test", "extra"},
      {"nft", "flush", "set", "ip", "holdfast_test", "hairpin"},
      {"ip", "route", "del", "local", "10.190.0.0/16", "dev", "lo"},
      {"sysctl", "-qw", "net.ipv4.ip_forward=0"}};
  for (const auto& deed : deeds) {
    apply(to(a));
    sh(deed);
    const auto observed = publisher->observe();
    ASSERT_FALSE(observed) << fmt::format("{}", fmt::join(deed, " "));
    EXPECT_EQ(observed.error().code(), Errc::not_found) << observed.error().to_string();
    apply(to(a));
    EXPECT_EQ(*publisher->observe(), to(a));
    EXPECT_EQ(ask_once(outside.netns, kOutsideHost, 80), "A 10.191.0.2")
        << fmt::format("{}", fmt::join(deed, " "));
    EXPECT_EQ(ask_once(a.netns, kWeb, kPort), "A 10.189.0.1");
  }
}

/// Does one deed over and over from a thread of its own, whether or not it succeeds.
std::jthread meddler(std::vector<std::string> deed) {
  return std::jthread{[deed = std::move(deed)](const std::stop_token& stop) {
    os::RunOptions options;
    options.spawn.argv = deed;
    options.spawn.env = {os::kChildPath};
    while (!stop.stop_requested()) (void)os::run(options);
  }};
}

TEST_F(NftPublisherTest, WhatIsAlteredWhileItIsLoadedIsNoticedToo) {
  const std::vector<std::string> deed{"nft", "flush", "chain", "ip", "holdfast_test", "route"};
  for (int round = 0; round < 10; ++round) {
    apply(to(a));
    sh(deed);
    {
      const auto first = meddler(deed);
      const auto second = meddler(deed);
      (void)publisher->apply(to(b));
    }
    sh(deed);
    ASSERT_FALSE(publisher->observe()) << "round " << round;
  }
  apply(to(a));
  EXPECT_EQ(*publisher->observe(), to(a));
  EXPECT_EQ(ask_once(outside.netns, kOutsideHost, 80), "A 10.191.0.2");
}

TEST_F(NftPublisherTest, ARulesetThatOthersChangeAllTheTimeIsStillReadWhole) {
  apply(to(a));
  sh({"nft", "add", "table", "ip", "not_ours"});
  const auto nuisance = meddler({"nft", "add", "chain", "ip", "not_ours", "some"});
  for (int i = 0; i < 200; ++i) {
    const auto wanted = to(i % 2 == 0 ? b : a);
    apply(wanted);
    const auto observed = publisher->observe();
    ASSERT_TRUE(observed) << observed.error().to_string();
    ASSERT_EQ(*observed, wanted);
  }
}

TEST_F(NftPublisherTest, WhatOthersChangeIsReportedAndOnesOwnSwitchesAreNot) {
  const auto reports = std::make_shared<std::atomic<int>>(0);
  apply(to(a));
  publisher->watch([reports] { ++*reports; });
  for (int i = 0; i < 10; ++i) apply(to(i % 2 == 0 ? b : a));
  sh({"nft", "add", "table", "ip", "not_ours"});
  sh({"nft", "add", "chain", "ip", "not_ours", "route"});
  os::sleep_until(SystemClock{}.boot() + 50ms, {});
  EXPECT_EQ(*reports, 0);
  const std::vector<std::vector<std::string>> deeds{
      {"nft", "delete", "element", "ip", "holdfast_test", "any_ports", "{ tcp . 80 }"},
      {"nft", "add", "rule", "ip", "holdfast_test", "route", "accept"},
      {"nft", "delete", "table", "ip", "holdfast_test"},
      {"ip", "route", "del", "local", "10.190.0.0/16", "dev", "lo"}};
  for (const auto& deed : deeds) {
    apply(
        to(a));  // loads the rules by a program where they are gone: a report, and a needless look
    os::sleep_until(SystemClock{}.boot() + 50ms, {});
    *reports = 0;
    sh(deed);
    EXPECT_TRUE(soon([&] { return *reports > 0; })) << fmt::format("{}", fmt::join(deed, " "));
  }
}

TEST_F(NftPublisherTest, AChangedElementIsObservedAsItIs) {
  apply(to(a));
  sh({"nft", "delete", "element", "ip", "holdfast_test", "any_ports", "{ tcp . 80 }"});
  auto expected = to(a);
  expected.ports.erase(PortKey{0, Transport::tcp, 80});
  EXPECT_EQ(*publisher->observe(), expected);
  apply(to(a));
  EXPECT_EQ(ask_once({}, kLoopback, 80), "A 10.189.0.1");
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

TEST_F(NftPublisherTest, TwoAgentsOnAHostDoNotDisturbEachOther) {
  auto other = NftPublisher::open(
      {.instance = "test2", .subnet = {0x0ABB0000, 16}, .service_subnet = {0x0ABC0000, 16}});
  ASSERT_TRUE(other) << other.error().to_string();
  apply(to(a));
  ASSERT_TRUE((*other)->apply({.ports = {{PortKey{0, Transport::tcp, 81}, {b.address, kPort}}},
                               .services = {},
                               .staged = {}}));
  EXPECT_EQ(*publisher->observe(), to(a));
  EXPECT_EQ(ask_once(outside.netns, kOutsideHost, 81), "B 10.191.0.2");
  ASSERT_TRUE((*other)->remove_all());
  EXPECT_EQ(*publisher->observe(), to(a));
  EXPECT_EQ(ask_once(outside.netns, kOutsideHost, 80), "A 10.191.0.2");
}

TEST_F(NftPublisherTest, AgentsThatStartTogetherAllStart) {
  std::vector<std::jthread> agents;
  for (std::uint32_t number = 0; number < 4; ++number)
    agents.emplace_back([number] {
      for (int round = 0; round < 5; ++round) {
        const auto opened =
            NftPublisher::open({.instance = fmt::format("start{}", number),
                                .subnet = {0x0AC80000U + (number << 17), 16},
                                .service_subnet = {0x0AC90000U + (number << 17), 16}});
        ASSERT_TRUE(opened) << opened.error().to_string();
        EXPECT_TRUE((*opened)->remove_all());
      }
    });
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
