#include "agent/daemon/shared_pool.hpp"

#include <gtest/gtest.h>

#include <latch>

namespace holdfast::agent::daemon {
namespace {

Request from(uid_t uid) {
  Request request;
  request.peer = Peer{};
  request.peer->uid = uid;
  return request;
}

class SharedPoolTest : public testing::Test {
 protected:
  /// Jobs run until the test lets them end.
  [[nodiscard]] Status begin(uid_t uid, Role role = Role::observe) {
    return pool.start(from(uid), role, [this](const std::stop_token&) { done_.wait(); });
  }
  void TearDown() override {
    if (!done_.try_wait()) done_.count_down();
  }

  std::latch done_{1};
  SharedPool pool{"test", "tests", {{.threads = 4, .waiting = 2}, {.all = 4, .of_one_actor = 2}}};
};

TEST_F(SharedPoolTest, RootFindsRoomWhoeverElseIsThere) {
  for (const uid_t uid : {1000U, 1000U, 1001U, 1001U}) EXPECT_TRUE(begin(uid));
  const auto refused = begin(1002);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::busy);
  EXPECT_TRUE(begin(0));
}

TEST_F(SharedPoolTest, OneUserLeavesRoomForTheNext) {
  EXPECT_TRUE(begin(1000));
  EXPECT_TRUE(begin(1000));
  EXPECT_FALSE(begin(1000));
  EXPECT_TRUE(begin(1001));
}

TEST_F(SharedPoolTest, APlaceIsGivenBackWhenItsJobEnds) {
  for (int i = 0; i < 20; ++i) {
    std::latch ended{1};
    Status started = Error{Errc::busy, ""};
    while (!started)
      started = pool.start(from(1000), Role::observe,
                           [&](const std::stop_token&) { ended.count_down(); });
    ended.wait();
  }
}

TEST_F(SharedPoolTest, EachRoleFindsWhatIsKeptForIt) {
  SharedPool kept{"test", "tests", {{.threads = 8, .waiting = 2}, {6, 2, 1}}};
  const auto begin_in = [&](uid_t uid, Role role) {
    return kept.start(from(uid), role, [this](const std::stop_token&) { done_.wait(); });
  };
  int observers = 0;
  for (uid_t uid = 1000; uid < 1010; ++uid)
    if (begin_in(uid, Role::observe)) ++observers;
  EXPECT_EQ(observers, 4);
  EXPECT_TRUE(begin_in(2000, Role::rollback));
  EXPECT_TRUE(begin_in(3000, Role::deploy));
  EXPECT_FALSE(begin_in(3001, Role::deploy));
  done_.count_down();
}

TEST_F(SharedPoolTest, RootsOwnJobsAreBoundedByThePool) {
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(begin(0));
  EXPECT_FALSE(begin(0));
}

}  // namespace
}  // namespace holdfast::agent::daemon
