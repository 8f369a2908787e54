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

/// Ten messages that take 4 ms each; the numbers of those that were read.
class MailboxOfTen : public ::testing::Test {
 protected:
  MailboxOfTen() {
    for (int number = 1; number <= 10; ++number)
      mailbox_.post([this, number] {
        read_.push_back(number);
        clock_.advance(Milliseconds{4});
      });
    taken_ = mailbox_.take(clock_, clock_.boot(), {}, Milliseconds{0});
  }
  bool read_slice() { return mailbox_.read(taken_, clock_, Milliseconds{10}, {}); }

  Mailbox mailbox_;
  test::FakeClock clock_;
  std::vector<int> read_;
  std::deque<Mailbox::Message> taken_;
};

TEST_F(MailboxOfTen, AreReadForASliceOfTimeAndTheRestAfterAPass) {
  EXPECT_TRUE(read_slice());
  EXPECT_THAT(read_, ElementsAre(1, 2, 3));
  EXPECT_EQ(taken_.size(), 7U);
  while (!taken_.empty()) EXPECT_TRUE(read_slice());
  EXPECT_THAT(read_, ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
  EXPECT_FALSE(read_slice()) << "there is nothing to make a pass for";
}

TEST_F(MailboxOfTen, AnUrgentOneThatComesMeanwhileIsTheNextAndThenComesAPass) {
  std::deque<Mailbox::Message> first;
  first.push_back(std::move(taken_.front()));
  taken_.pop_front();
  ASSERT_TRUE(mailbox_.read(first, clock_, Milliseconds{10}, {}));
  mailbox_.post_urgent([this] { read_.push_back(100); });
  EXPECT_TRUE(read_slice());
  EXPECT_THAT(read_, ElementsAre(1, 100));
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
