#include "deploy/network/kernel/tcp_sockets.hpp"

#include <poll.h>

#include <algorithm>
#include <thread>

#include "common/os/unique_fd.hpp"
#include "tests/component/deploy/network/private_host.hpp"

namespace holdfast::test {
namespace {

struct Pair {
  os::UniqueFd listener;
  os::UniqueFd client;
  os::UniqueFd accepted;
};

Pair connected_pair() {
  Pair pair;
  pair.listener.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* any = reinterpret_cast<sockaddr*>(&address);
  if (bind(pair.listener.get(), any, size) != 0 || listen(pair.listener.get(), 8) != 0 ||
      getsockname(pair.listener.get(), any, &size) != 0)
    return pair;
  pair.client.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(pair.client.get(), any, size) != 0) return pair;
  pair.accepted.reset(accept4(pair.listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  return pair;
}

TEST(TcpSockets, AcceptedConnectionsAreResetAndListenersStay) {
  ASSERT_TRUE(kEntered);
  const auto dir = os::TempDir::create("/tmp", "hf-sockets");
  ASSERT_TRUE(dir) << dir.error().to_string();
  const auto netns = dir->path() / "ns";
  ASSERT_TRUE(deploy::network::pin_new_netns(netns));
  Pair inside;
  Pair finished;
  ASSERT_TRUE(deploy::network::run_in_netns(netns, [&]() -> Status {
    inside = connected_pair();
    finished = connected_pair();
    return ok();
  }));
  ASSERT_TRUE(inside.accepted && finished.accepted);
  finished.client.reset();
  finished.accepted.reset();
  Pair outside = connected_pair();
  ASSERT_TRUE(outside.accepted);

  const auto count = deploy::network::reset_accepted(netns);
  ASSERT_TRUE(count) << count.error().to_string();
  EXPECT_EQ(*count, 1U);
  char byte = 0;
  EXPECT_EQ(recv(inside.client.get(), &byte, 1, MSG_DONTWAIT), -1);
  EXPECT_EQ(errno, ECONNRESET);
  EXPECT_EQ(send(outside.client.get(), "x", 1, MSG_NOSIGNAL), 1) << "another namespace";
  EXPECT_EQ(recv(outside.accepted.get(), &byte, 1, 0), 1);

  EXPECT_EQ(deploy::network::reset_accepted(netns).value(), 0U);
  Pair again;
  ASSERT_TRUE(deploy::network::run_in_netns(netns, [&]() -> Status {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    auto* any = reinterpret_cast<sockaddr*>(&address);
    (void)getsockname(inside.listener.get(), any, &size);
    again.client.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connect(again.client.get(), any, size) != 0) return errno_error(errno, "connect");
    return ok();
  })) << "the listener still listens";
  EXPECT_TRUE(deploy::network::unpin_netns(netns));
}

/// Many connections to one listener in a namespace of its own.
class ManySockets : public ::testing::Test {
 protected:
  static constexpr std::size_t kMany = 900;
  void SetUp() override {
    ASSERT_TRUE(kEntered);
    auto made = os::TempDir::create("/tmp", "hf-sockets");
    ASSERT_TRUE(made) << made.error().to_string();
    dir_.emplace(std::move(made).value());
    ASSERT_TRUE(deploy::network::pin_new_netns(netns()));
    ASSERT_TRUE(deploy::network::run_in_netns(netns(), [&]() -> Status {
      pairs_.push_back(connected_pair());
      sockaddr_in address{};
      socklen_t size = sizeof address;
      auto* any = reinterpret_cast<sockaddr*>(&address);
      (void)getsockname(pairs_[0].listener.get(), any, &size);
      while (pairs_.size() < kMany) {
        Pair pair;
        pair.client.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (connect(pair.client.get(), any, size) != 0) return errno_error(errno, "connect");
        pair.accepted.reset(accept4(pairs_[0].listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
        pairs_.push_back(std::move(pair));
      }
      return ok();
    }));
  }
  void TearDown() override { EXPECT_TRUE(deploy::network::unpin_netns(netns())); }
  [[nodiscard]] std::filesystem::path netns() const { return dir_->path() / "ns"; }
  [[nodiscard]] std::size_t left() const {
    char byte = 0;
    return static_cast<std::size_t>(std::count_if(pairs_.begin(), pairs_.end(), [&](auto& pair) {
      return recv(pair.client.get(), &byte, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN;
    }));
  }
  std::optional<os::TempDir> dir_;
  std::vector<Pair> pairs_;
};

TEST_F(ManySockets, AreResetInPieces) {
  const auto count = deploy::network::reset_accepted(netns(), {}, {.at_once = 100});
  ASSERT_TRUE(count) << count.error().to_string();
  EXPECT_EQ(*count, kMany);
  EXPECT_EQ(left(), 0U);
}

TEST_F(ManySockets, AreLeftWhenTheTimeIsOver) {
  const auto count = deploy::network::reset_accepted(
      netns(), {}, {.at_once = 100, .time = std::chrono::milliseconds{0}});
  ASSERT_FALSE(count);
  EXPECT_EQ(count.error().code(), Errc::timed_out);
  EXPECT_EQ(left(), kMany - 100);
}

TEST_F(ManySockets, AreLeftFromTheMomentTheyAreNeededAgain) {
  std::stop_source spare;
  std::vector<pollfd> each;
  for (const auto& pair : pairs_) each.push_back({pair.client.get(), POLLIN, 0});
  std::jthread watcher{[&] {
    if (poll(each.data(), each.size(), 10'000) > 0) spare.request_stop();
  }};
  const auto count = deploy::network::reset_accepted(netns(), spare.get_token(), {.at_once = 1});
  ASSERT_TRUE(count) << count.error().to_string();
  EXPECT_GT(*count, 0U);
  EXPECT_GT(left(), 0U);
  EXPECT_EQ(left(), kMany - *count);
}

TEST(TcpSockets, ANamespaceThatIsGoneIsNamed) {
  const auto count = deploy::network::reset_accepted("/tmp/hf-no-such-namespace");
  ASSERT_FALSE(count);
  EXPECT_NE(count.error().to_string().find("/tmp/hf-no-such-namespace"), std::string::npos);
}

}  // namespace
}  // namespace holdfast::test
