#include "deploy/network/port_reservation.hpp"

#include <gmock/gmock.h>

#include "deploy/network/host_facts.hpp"
#include "tests/component/deploy/network/private_host.hpp"

namespace holdfast::deploy::network {
namespace {

using proto::Transport;
using test::dial;
using test::sh;
using test::socket_address;
using testing::HasSubstr;
using testing::IsEmpty;

const PortKey kWebPort{0, Transport::tcp, 80};
const PortKey kDnsPort{0, Transport::udp, 53};
const PortKey kLocalPort{0x7F000001, Transport::tcp, 9000};

enum class Reuse { no, yes };

/// errno of taking the port as another program would: 0 when it can listen there.
int take(const PortKey& key, Reuse reuse) {
  const int type = key.transport == Transport::tcp ? SOCK_STREAM : SOCK_DGRAM;
  const os::UniqueFd fd{::socket(AF_INET, type | SOCK_CLOEXEC, 0)};
  const int on = reuse == Reuse::yes ? 1 : 0;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const auto address = socket_address(key.host_ip, key.port);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return errno;
  if (type == SOCK_STREAM && listen(fd.get(), 1) != 0) return errno;
  return 0;
}

TEST(PortReservation, AHeldPortIsTakenForEverybodyElseAndFreeAfterwards) {
  PortReservation ports;
  ASSERT_TRUE(ports.hold({kWebPort, kDnsPort, kLocalPort}));
  for (const auto& key : {kWebPort, kDnsPort, kLocalPort}) {
    EXPECT_EQ(take(key, Reuse::no), EADDRINUSE) << to_string(key);
    EXPECT_EQ(take(key, Reuse::yes), EADDRINUSE) << to_string(key);
  }
  EXPECT_EQ(take({0x7F000002, Transport::tcp, 9000}, Reuse::no), 0) << "another address";
  ASSERT_TRUE(ports.hold({kWebPort}));
  EXPECT_EQ(take(kDnsPort, Reuse::no), 0);
  EXPECT_EQ(take(kWebPort, Reuse::no), EADDRINUSE);
  ports.release();
  EXPECT_EQ(take(kWebPort, Reuse::no), 0);
}

TEST(PortReservation, NobodyAnswersOnAHeldPort) {
  PortReservation ports;
  ASSERT_TRUE(ports.hold({kWebPort}));
  EXPECT_FALSE(dial(0x7F000001, 80));
  EXPECT_EQ(errno, ECONNREFUSED);
}

TEST(PortReservation, ATakenPortIsNamedWithTheNextStepAndNothingNewIsHeld) {
  const test::TinyServer other{{}, "other", 80};
  PortReservation ports;
  ASSERT_TRUE(ports.hold({kDnsPort}));
  const auto held = ports.hold({kDnsPort, kLocalPort, kWebPort});
  ASSERT_FALSE(held);
  EXPECT_EQ(held.error().code(), Errc::port_in_use);
  EXPECT_THAT(held.error().what(), HasSubstr("port *:80/tcp is taken by"));
  EXPECT_THAT(held.error().next_step(), HasSubstr("ss -anp 'sport = :80'"));
  EXPECT_EQ(take(kLocalPort, Reuse::no), 0) << "all or nothing";
  EXPECT_EQ(take(kDnsPort, Reuse::no), EADDRINUSE) << "what was held stays held";
}

TEST(PortReservation, APortMayMoveBetweenAllAddressesAndOne) {
  PortReservation ports;
  const PortKey everywhere{0, Transport::tcp, 9000};
  ASSERT_TRUE(ports.hold({everywhere}));
  ASSERT_TRUE(ports.hold({kLocalPort}));
  EXPECT_EQ(take({0x7F000002, Transport::tcp, 9000}, Reuse::no), 0);
  ASSERT_TRUE(ports.hold({everywhere}));
  EXPECT_EQ(take({0x7F000002, Transport::tcp, 9000}, Reuse::no), EADDRINUSE);
}

TEST(PortReservation, ClosedConnectionsOfAnEarlierOwnerAreNoObstacle) {
  {
    const os::UniqueFd server{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    constexpr int kOn = 1;
    setsockopt(server.get(), SOL_SOCKET, SO_REUSEADDR, &kOn, sizeof kOn);  // as servers do
    const auto address = socket_address(0x7F000001, 81);
    ASSERT_EQ(bind(server.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(listen(server.get(), 1), 0);
    const auto client = dial(0x7F000001, 81);
    os::UniqueFd accepted{accept(server.get(), nullptr, nullptr)};
    accepted.reset();  // the server closes first, so TIME_WAIT is on its side
    char byte = 0;
    EXPECT_EQ(recv(client.get(), &byte, 1, 0), 0);
  }
  const PortKey key{0x7F000001, Transport::tcp, 81};
  EXPECT_EQ(take(key, Reuse::no), EADDRINUSE) << "which is what makes this a test";
  PortReservation ports;
  const auto held = ports.hold({key});
  EXPECT_TRUE(held) << held.error().to_string();
  EXPECT_EQ(take(key, Reuse::yes), EADDRINUSE);
}

TEST(PortReservation, AnAddressThatComesLaterIsFine) {
  PortReservation ports;
  EXPECT_TRUE(ports.hold({{0xCB007105, Transport::tcp, 80}}));
}

TEST(HostFacts, AHostOfThisKindHasWhatTheAgentNeeds) {
  const auto facts = inspect_host("/usr/lib/cni");
  ASSERT_TRUE(facts) << facts.error().to_string();
  EXPECT_EQ(facts->nft_fault, "");
  EXPECT_EQ(facts->conntrack_fault, "");
  EXPECT_THAT(facts->missing_plugins, IsEmpty());
  EXPECT_THAT(facts->dropping, IsEmpty());
}

TEST(HostFacts, ChainsThatDropAndMissingPluginsAreNamed) {
  sh({"iptables", "-P", "FORWARD", "DROP"});
  sh({"nft",
      "add table inet alien; add chain inet alien passing { type filter hook forward priority 0; "
      "policy drop; }"});
  const auto facts = inspect_host("/nonexistent");
  ASSERT_TRUE(facts);
  EXPECT_THAT(facts->dropping,
              testing::UnorderedElementsAre("ip filter FORWARD", "inet alien passing"));
  EXPECT_THAT(facts->dropping_alien, testing::ElementsAre("inet alien passing"));
  EXPECT_THAT(facts->missing_plugins, testing::Contains("/nonexistent/ptp"));
  sh({"nft", "delete", "table", "inet", "alien"});
  sh({"iptables", "-P", "FORWARD", "ACCEPT"});
}

}  // namespace
}  // namespace holdfast::deploy::network
