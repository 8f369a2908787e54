// Registries that are slower than a dead line. In a file of its own: the limits are half a minute.
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <cstring>
#include <thread>

#include "tests/component/deploy/image/lab.hpp"

namespace holdfast::test {
namespace {

using std::chrono::seconds;

class SlowPeers : public LabTest {
 protected:
  TestStore store_{lab()};
};

// F-44, F-45: the limits are half a minute, so both run at once.
TEST_F(SlowPeers, AreGivenUpAndDisturbNobody) {
  const BootTime begin = store_.clock.boot();
  std::optional<Error> headers;
  std::optional<Error> body;
  std::stop_source stop;
  {
    std::jthread first{[&] {
      const auto pulled = store_.pull(lab().ref("gzip", "slow-headers"), stop.get_token());
      if (!pulled) headers = pulled.error();
    }};
    std::jthread second{[&] {
      const auto pulled = store_.pull(lab().ref("big", "slow-body"), stop.get_token());
      EXPECT_TRUE(pulled) << pulled.error().to_string();
      body = pulled ? std::nullopt : std::optional{pulled.error()};
    }};
    const auto other = store_.pull(lab().ref("zstd"));
    EXPECT_TRUE(other) << other.error().to_string();
    EXPECT_LT(store_.clock.boot() - begin, seconds{10}) << "others wait for nobody";
    second.join();
    EXPECT_GE(store_.clock.boot() - begin, seconds{25}) << "it was slow for a while";
    EXPECT_LT(store_.clock.boot() - begin, seconds{50}) << "then it went on by Range";
    // A server that never finishes its headers is asked again; one try takes half a minute.
    (void)os::sleep_until(begin + seconds{45}, {});
    stop.request_stop();
  }
  ASSERT_TRUE(headers);
  EXPECT_NE(lab().hits().find("\"slow-headers-again\": 1"), std::string::npos)
      << "given up within 45 s: " << lab().hits();
}

/// What the resolver of a host says to every question.
enum class Resolver : std::uint8_t { no_such_name, nothing };

/// Puts the calling thread, and the children it starts, into a network and a mount namespace of
/// their own, where a resolver on loopback is all there is.
void enter_a_host_with_a_resolver(const std::filesystem::path& resolv_conf) {
  ASSERT_EQ(unshare(CLONE_NEWNS | CLONE_NEWNET), 0);
  ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  ASSERT_TRUE(
      os::write_atomic(resolv_conf, "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n", 0644));
  ASSERT_EQ(::mount(resolv_conf.c_str(), "/etc/resolv.conf", nullptr, MS_BIND, nullptr), 0);
  const os::UniqueFd any{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  ifreq loopback{};
  std::strcpy(loopback.ifr_name, "lo");
  loopback.ifr_flags = IFF_UP | IFF_RUNNING;
  ASSERT_EQ(ioctl(any.get(), SIOCSIFFLAGS, &loopback), 0);
}

/// Answers questions until it is told to stop; returns how many there were.
int answer_names(const std::stop_token& stop, Resolver resolver) {
  const os::UniqueFd fd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(53);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  const timeval patience{0, 100'000};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  int asked = 0;
  while (!stop.stop_requested()) {
    std::array<char, 512> packet;
    socklen_t size = sizeof address;
    const auto got = recvfrom(fd.get(), packet.data(), packet.size(), 0,
                              reinterpret_cast<sockaddr*>(&address), &size);
    if (got < 12) continue;
    ++asked;
    if (resolver == Resolver::nothing) continue;
    packet[2] = static_cast<char>(0x81);  // a response,
    packet[3] = static_cast<char>(0x83);  // and NXDOMAIN (RFC 1035 4.1.1)
    sendto(fd.get(), packet.data(), static_cast<std::size_t>(got), 0,
           reinterpret_cast<sockaddr*>(&address), size);
  }
  return asked;
}

void expect_the_name_in_the_error(const Lab& lab, Resolver resolver) {
  TestStore store{std::map<std::string, proto::RegistryConfig>{}};
  enter_a_host_with_a_resolver(store.dir.path() / "resolv.conf");
  std::jthread server;
  int asked = 0;
  server = std::jthread{[&](const std::stop_token& stop) { asked = answer_names(stop, resolver); }};
  const BootTime begin = store.clock.boot();
  const auto pulled = store.pull(
      Lab::ref_at("registry.holdfast.example:5000", lab.ref("gzip").digest.str(), "plain"));
  EXPECT_LT(store.clock.boot() - begin, seconds{40});
  server.request_stop();
  server.join();
  EXPECT_GT(asked, 0) << "the resolver was asked";
  ASSERT_FALSE(pulled);
  EXPECT_EQ(pulled.error().code(), Errc::net_timeout) << pulled.error().to_string();
  EXPECT_NE(pulled.error().what().find("registry.holdfast.example"), std::string::npos)
      << pulled.error().to_string();
  EXPECT_NE(pulled.error().next_step().find("DNS"), std::string::npos)
      << pulled.error().to_string();
}

// F-43: each kind of failure in a network namespace of its own, both at once.
TEST_F(SlowPeers, ANameThatDoesNotResolveIsNamed) {
  std::jthread unknown{[] { expect_the_name_in_the_error(lab(), Resolver::no_such_name); }};
  std::jthread silent{[] { expect_the_name_in_the_error(lab(), Resolver::nothing); }};
}

}  // namespace
}  // namespace holdfast::test
