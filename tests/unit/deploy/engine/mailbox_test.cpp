#include "deploy/engine/mailbox.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "deploy/engine/request_quota.hpp"
#include "tests/support/fake_ports.hpp"

namespace holdfast::deploy::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Mailbox, AnUrgentMessageIsReadBeforeAllOthers) {
  Mailbox mailbox;
  std::vector<std::string> read;
  mailbox.post([&] { read.emplace_back("plan"); });
  mailbox.post_urgent([&] { read.emplace_back("rollback"); });
  mailbox.post_urgent([&] { read.emplace_back("second rollback"); });
  while (auto urgent = mailbox.take_urgent()) urgent->read();
  const test::FakeClock clock;
  for (const auto& message : mailbox.take(clock, clock.boot(), {}, Milliseconds{0})) message.read();
  EXPECT_THAT(read, ElementsAre("rollback", "second rollback", "plan"));
}

TEST(Mailbox, AClosedOneTakesNothingAndLetsGoOfWhatItHeld) {
  Mailbox mailbox;
  auto held = std::make_shared<int>(1);
  mailbox.post([held] { FAIL(); });
  mailbox.close();
  mailbox.post([held] { FAIL(); });
  mailbox.post_urgent([held] { FAIL(); });
  EXPECT_EQ(held.use_count(), 1);
  const test::FakeClock clock;
  EXPECT_TRUE(mailbox.take(clock, clock.boot(), {}, Milliseconds{0}).empty());
}

TEST(RequestQuota, GivesEachActorAFewPlacesAndAllTogetherNoMoreThanItsLimit) {
  RequestQuota quota{"plans", {.all = 3, .of_one_actor = 2}};
  ASSERT_TRUE(quota.take("ann"));
  ASSERT_TRUE(quota.take("ann"));
  const auto third = quota.take("ann");
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code(), Errc::busy);
  EXPECT_THAT(third.error().what(), HasSubstr("2 plans of ann"));
  ASSERT_TRUE(quota.take("bob"));
  EXPECT_THAT(quota.take("cid").error().what(), HasSubstr("3 plans are under way"));
  ASSERT_TRUE(quota.take("root (uid 0)")) << "root has places of his own";
  ASSERT_TRUE(quota.take("root (uid 0)"));
  EXPECT_FALSE(quota.take("root (uid 0)"));
  quota.give_back("root (uid 0)");
  EXPECT_FALSE(quota.take("cid")) << "which are nobody else's";
  quota.give_back("ann");
  EXPECT_TRUE(quota.take("cid"));
}

}  // namespace
}  // namespace holdfast::deploy::engine
