#include "agent/daemon/places.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace holdfast::agent::daemon {
namespace {

using ::testing::Optional;

class Places : public ::testing::Test {
 protected:
  void fill(std::size_t count, Holder holder) { holders_.insert(holders_.end(), count, holder); }
  /// As the server does: whoever gives way is gone.
  bool admit(const Holder& newcomer, const PlaceLimits& limits = kApiPlaces) {
    const auto placed = place(holders_, newcomer, limits);
    if (placed.gives_way)
      holders_.erase(holders_.begin() + static_cast<std::ptrdiff_t>(*placed.gives_way));
    if (placed.admitted) holders_.push_back(newcomer);
    return placed.admitted;
  }
  std::vector<Holder> holders_;  ///< oldest first
};

constexpr Holder kRoot{0, Role::deploy, Occupation::reading};

TEST_F(Places, HoweverManyUsersListenRootAndEachRoleFindAPlace) {
  for (uid_t uid = 1000; uid < 1100; ++uid) {
    for (int i = 0; i < 40; ++i) admit({uid, Role::observe, Occupation::streaming});
  }
  EXPECT_LE(holders_.size(), kApiPlaces.all - kApiPlaces.kept_for_root);
  for (int i = 0; i < 16; ++i) EXPECT_TRUE(admit(kRoot)) << i;
  EXPECT_TRUE(admit({5, Role::rollback, Occupation::reading}));
  EXPECT_TRUE(admit({6, Role::deploy, Occupation::reading}));
  EXPECT_LE(holders_.size(), kApiPlaces.all);
}

TEST_F(Places, WhoWorksKeepsHisPlaceAndRootFindsOneAllTheSame) {
  for (uid_t uid = 1000; uid < 1100; ++uid) admit({uid, Role::deploy, Occupation::working});
  for (uid_t uid = 1100; uid < 1200; ++uid) admit({uid, Role::observe, Occupation::writing});
  const auto before = holders_.size();
  EXPECT_TRUE(admit(kRoot));
  EXPECT_EQ(holders_.size(), before + 1) << "nobody had to go";
}

TEST_F(Places, TheOldestThatHasNotAskedYetGoesBeforeTheOldestListener) {
  fill(1, {1000, Role::observe, Occupation::streaming});
  fill(1, {1001, Role::observe, Occupation::reading});
  fill(126, {0, Role::deploy, Occupation::streaming});
  EXPECT_THAT(place(holders_, kRoot, kApiPlaces).gives_way, Optional(2U))
      << "those of observe have no more than is kept for them";
  fill(7, {1002, Role::observe, Occupation::streaming});
  EXPECT_THAT(place(holders_, kRoot, kApiPlaces).gives_way, Optional(1U));
}

TEST_F(Places, WhoHasYetToHaveTheTimeToAskDoesNotGiveWay) {
  const Holder somebody{65534, Role::none, Occupation::reading};
  auto fresh = somebody;
  fresh.is_new = true;
  fill(kMetricsPlaces.all - 1, fresh);
  EXPECT_TRUE(admit(somebody, kMetricsPlaces));
  EXPECT_TRUE(admit(fresh, kMetricsPlaces)) << "the one that had its time gives way";
  EXPECT_FALSE(admit(fresh, kMetricsPlaces));
}

TEST_F(Places, OneUserGivesWayToHimself) {
  fill(32, {1000, Role::observe, Occupation::streaming});
  const auto placed = place(holders_, {1000, Role::observe, Occupation::reading}, kApiPlaces);
  EXPECT_TRUE(placed.admitted);
  EXPECT_THAT(placed.gives_way, Optional(0U));
}

TEST_F(Places, NobodyIsSentAwayForALesserRole) {
  fill(128, {0, Role::deploy, Occupation::streaming});
  EXPECT_FALSE(admit({1000, Role::observe, Occupation::reading}));
}

TEST_F(Places, OnTheMetricsPortWhoDoesNotReadHisAnswerGoes) {
  fill(kMetricsPlaces.all, {65534, Role::none, Occupation::writing});
  const auto placed = place(holders_, {65534, Role::none, Occupation::reading}, kMetricsPlaces);
  EXPECT_TRUE(placed.admitted);
  EXPECT_THAT(placed.gives_way, Optional(0U));
}

}  // namespace
}  // namespace holdfast::agent::daemon
