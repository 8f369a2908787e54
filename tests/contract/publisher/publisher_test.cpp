// What every publisher promises its engine (deploy/network/port/publisher.hpp), the one for tests
// too.
#include "deploy/network/port/publisher.hpp"

#include "tests/component/deploy/network/publisher_host.hpp"
#include "tests/support/fake_ports.hpp"

namespace holdfast::deploy::network {
namespace {

const PortKey kWebPort{0, Transport::tcp, 80};
const PortKey kDnsPort{0, Transport::udp, 53};
const PortKey kLocalPort{kLoopback, Transport::tcp, 9000};

/// The kernel's, with two instances that answer.
class Nft {
 public:
  [[nodiscard]] Publisher& publisher() { return *host_.publisher; }
  [[nodiscard]] Address first() const { return host_.a.address; }
  [[nodiscard]] Address second() const { return host_.b.address; }
  /// One connection to each of the two, from the host, over its service address.
  void connect_to_both() {
    for (const auto address : {kWeb, kDb}) {
      clients_.push_back(dial(address, kPort));
      EXPECT_THAT(ask(clients_.back().get()), HasSubstr("10.189.0.1"));
    }
  }
  void lose_the_table() const { sh({"nft", "delete", "table", "ip", "holdfast_test"}); }
  /// Another program, that holds the port.
  void take(const PortKey& key) { other_.emplace(std::filesystem::path{}, "other", key.port); }
  /// Whether another program is kept off it.
  [[nodiscard]] bool holds(const PortKey& key) const {
    const int type = key.transport == Transport::tcp ? SOCK_STREAM : SOCK_DGRAM;
    const os::UniqueFd fd{::socket(AF_INET, type | SOCK_CLOEXEC, 0)};
    const auto address = test::socket_address(key.host_ip, key.port);
    return ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0;
  }

 private:
  struct Host : PublisherHost {
    Host() { SetUp(); }
    ~Host() override { TearDown(); }
    void TestBody() override {}
    using PublisherHost::a;
    using PublisherHost::b;
    using PublisherHost::publisher;
  };
  Host host_;
  std::vector<os::UniqueFd> clients_;
  std::optional<TinyServer> other_;
};

class Fake {
 public:
  [[nodiscard]] Publisher& publisher() { return publisher_; }
  [[nodiscard]] static Address first() { return 0x0ABD0002; }
  [[nodiscard]] static Address second() { return 0x0ABD0003; }
  void connect_to_both() { host_.open_connections = 1; }
  void lose_the_table() { host_.routing.reset(); }
  void take(const PortKey& key) { host_.taken_ports.insert(key); }
  [[nodiscard]] bool holds(const PortKey& key) const { return host_.reserved_ports.contains(key); }

 private:
  test::FakeHost host_;
  test::FakePublisher publisher_{host_};
};

template <class Kind>
class PublisherContract : public testing::Test {
 protected:
  Publisher& publisher() { return kind_.publisher(); }
  /// A published port and the two service addresses, each with its instance.
  [[nodiscard]] RoutingTable both() const {
    return {.ports = {{kWebPort, {kind_.first(), kPort}}},
            .services = {{kWeb, kind_.first()}, {kDb, kind_.second()}},
            .staged = {}};
  }
  [[nodiscard]] std::map<Address, std::uint32_t> open() {
    auto counted = publisher().connections({kind_.first(), kind_.second()});
    EXPECT_TRUE(counted) << counted.error().to_string();
    return counted ? *counted : std::map<Address, std::uint32_t>{};
  }
  [[nodiscard]] std::map<Address, std::uint32_t> counts(std::uint32_t first,
                                                        std::uint32_t second) const {
    return {{kind_.first(), first}, {kind_.second(), second}};
  }
  Kind kind_;
};

using Kinds = testing::Types<Nft, Fake>;
TYPED_TEST_SUITE(PublisherContract, Kinds);

TYPED_TEST(PublisherContract, WhatIsObservedIsWhatWasAppliedLast) {
  EXPECT_EQ(*this->publisher().observe(), RoutingTable{});
  auto wanted = this->both();
  wanted.staged[{this->kind_.second(), kWeb}] = this->kind_.second();
  for (const auto& each : {wanted, wanted, this->both(), RoutingTable{}}) {
    ASSERT_TRUE(this->publisher().apply(each));
    EXPECT_EQ(*this->publisher().observe(), each);
  }
}

TYPED_TEST(PublisherContract, ATableThatIsGoneIsNotFoundAndOnlyARestoreMakesItAgain) {
  ASSERT_TRUE(this->publisher().apply(this->both()));
  this->kind_.lose_the_table();
  const auto gone = this->publisher().observe();
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code(), Errc::not_found);
  EXPECT_FALSE(this->publisher().apply(this->both()));
  ASSERT_TRUE(this->publisher().restore(this->both()));
  EXPECT_EQ(*this->publisher().observe(), this->both());
  ASSERT_TRUE(this->publisher().restore({})) << "one that is whole too";
  EXPECT_EQ(*this->publisher().observe(), RoutingTable{});
}

TYPED_TEST(PublisherContract, HoldsExactlyThePortsNamedLast) {
  ASSERT_TRUE(this->publisher().reserve({kWebPort, kDnsPort}));
  ASSERT_TRUE(this->publisher().reserve({kWebPort, kLocalPort}))
      << "what is held is not in the way";
  EXPECT_TRUE(this->kind_.holds(kWebPort));
  EXPECT_TRUE(this->kind_.holds(kLocalPort));
  EXPECT_FALSE(this->kind_.holds(kDnsPort));
  ASSERT_TRUE(this->publisher().reserve({}));
  EXPECT_FALSE(this->kind_.holds(kWebPort));
}

TYPED_TEST(PublisherContract, ATakenPortIsNamedAndOfTheNewOnesNoneIsHeld) {
  ASSERT_TRUE(this->publisher().reserve({kDnsPort}));
  this->kind_.take(kWebPort);
  const auto held = this->publisher().reserve({kDnsPort, kLocalPort, kWebPort});
  ASSERT_FALSE(held);
  EXPECT_EQ(held.error().code(), Errc::port_in_use);
  EXPECT_THAT(held.error().what(), HasSubstr(to_string(kWebPort)));
  EXPECT_THAT(held.error().next_step(), HasSubstr("ss -anp"));
  EXPECT_FALSE(this->kind_.holds(kLocalPort));
  EXPECT_TRUE(this->kind_.holds(kDnsPort)) << "what was held stays held";
}

TYPED_TEST(PublisherContract, CountsTheConnectionsOfEachInstanceAskedFor) {
  ASSERT_TRUE(this->publisher().apply(this->both()));
  EXPECT_EQ(this->open(), this->counts(0, 0));
  this->kind_.connect_to_both();
  EXPECT_EQ(this->open(), this->counts(1, 1));
  EXPECT_THAT(*this->publisher().connections({}), testing::IsEmpty());
}

TYPED_TEST(PublisherContract, ACutEndsTheConnectionsOfOneInstanceAndCountsThem) {
  ASSERT_TRUE(this->publisher().apply(this->both()));
  this->kind_.connect_to_both();
  EXPECT_EQ(*this->publisher().cut(this->kind_.first(), {}), 1U);
  EXPECT_EQ(this->open(), this->counts(0, 1));
  EXPECT_EQ(*this->publisher().cut(this->kind_.first(), {}), 0U) << "there is nothing left";
}

TYPED_TEST(PublisherContract, ACutThatIsCalledOffLeavesTheConnections) {
  ASSERT_TRUE(this->publisher().apply(this->both()));
  this->kind_.connect_to_both();
  std::stop_source stop;
  stop.request_stop();
  const auto cut = this->publisher().cut(this->kind_.first(), stop.get_token());
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().code(), Errc::cancelled);
  EXPECT_EQ(this->open(), this->counts(1, 1));
}

}  // namespace
}  // namespace holdfast::deploy::network
