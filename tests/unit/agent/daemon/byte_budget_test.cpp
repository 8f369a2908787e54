#include "agent/daemon/byte_budget.hpp"

#include <gtest/gtest.h>

#include <list>

namespace holdfast::agent::daemon {
namespace {

constexpr std::size_t kMiB = 1U << 20;

class ByteBudgets : public ::testing::Test {
 protected:
  bool claims(uid_t uid, Role role, std::size_t bytes) {
    return claims_.emplace_back(budget_, uid, role).resize(bytes);
  }
  ByteBudget budget_{kApiBytes};
  std::list<ByteBudget::Claim> claims_;
};

TEST_F(ByteBudgets, HoweverMuchUsersHoldRootAndEachRoleFindRoom) {
  for (uid_t uid = 1000; uid < 1100; ++uid)
    for (int i = 0; i < 10; ++i) claims(uid, Role::observe, kMiB);
  for (uid_t uid = 2000; uid < 2100; ++uid) claims(uid, Role::none, kMiB);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(claims(0, Role::deploy, 4 * kMiB));
  EXPECT_TRUE(claims(5, Role::rollback, kMiB));
  EXPECT_TRUE(claims(6, Role::deploy, kMiB));
  EXPECT_LE(budget_.held(), kApiBytes.all);
}

TEST_F(ByteBudgets, NoUserTakesItAllButOneClaimMayBeLarge) {
  EXPECT_TRUE(claims(1000, Role::observe, 5 * kMiB));
  EXPECT_FALSE(claims(1000, Role::observe, kMiB));
  claims_.clear();
  EXPECT_TRUE(claims(1001, Role::observe, 2 * kMiB));
  EXPECT_TRUE(claims(1001, Role::observe, 2 * kMiB));
  EXPECT_FALSE(claims(1001, Role::observe, kMiB));
  EXPECT_TRUE(claims(1002, Role::observe, kMiB));
}

TEST_F(ByteBudgets, WhatIsSmallIsAlwaysGrantedAndCostsNothing) {
  while (claims(1000, Role::observe, kMiB)) {
  }
  const auto held = budget_.held();
  EXPECT_TRUE(claims(1000, Role::observe, kApiBytes.uncounted));
  EXPECT_EQ(budget_.held(), held);
  EXPECT_FALSE(claims(1000, Role::observe, kApiBytes.uncounted + 1));
}

TEST_F(ByteBudgets, WhoHoldsSomethingLearnsThatAnotherFoundNoRoom) {
  auto& holder = claims_.emplace_back(budget_, 1000, Role::observe);
  ASSERT_TRUE(holder.resize(3 * kMiB));
  EXPECT_FALSE(claims(1000, Role::observe, 2 * kMiB));
  EXPECT_FALSE(holder.is_wanted()) << "its own bound takes room from nobody";
  auto& small = claims_.emplace_back(budget_, 1000, Role::observe);
  ASSERT_TRUE(small.resize(1));
  for (uid_t uid = 2000; claims(uid, Role::observe, kMiB);) ++uid;
  EXPECT_TRUE(holder.is_wanted());
  EXPECT_FALSE(small.is_wanted()) << "it holds nothing";
  EXPECT_FALSE(holder.is_wanted()) << "once";
}

TEST_F(ByteBudgets, WhatIsGivenBackCanBeClaimedByOthers) {
  while (claims(1000, Role::observe, kMiB)) {
  }
  EXPECT_FALSE(claims_.front().resize(2 * kMiB)) << "it keeps what it has";
  EXPECT_EQ(budget_.held(), 4 * kMiB);
  EXPECT_TRUE(claims_.front().resize(kMiB / 2));
  EXPECT_TRUE(claims(1000, Role::observe, kMiB / 2));
  claims_.clear();
  EXPECT_EQ(budget_.held(), 0U);
}

}  // namespace
}  // namespace holdfast::agent::daemon
