#include "deploy/engine/mailbox.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_ports.hpp"

namespace holdfast::deploy::engine {
namespace {

using ::testing::ElementsAre;

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

}  // namespace
}  // namespace holdfast::deploy::engine
