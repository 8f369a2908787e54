#include "deploy/fetch/spare.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "common/os/environment.hpp"
#include "common/os/process.hpp"

namespace holdfast::deploy::fetch {
namespace {

using namespace std::chrono_literals;

/// Living children of this process, those that ended and were not waited for included.
int children() {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator{"/proc"}) {
    std::ifstream stat{entry.path() / "stat"};
    std::string text;
    std::getline(stat, text);
    const auto after_name = text.rfind(") ");
    if (after_name == std::string::npos) continue;
    // "S 123": state, then the parent
    count += std::atoi(text.c_str() + after_name + 4) == ::getpid() ? 1 : 0;
  }
  return count;
}

class SpareTest : public testing::Test {
 protected:
  static bool come_to(int wanted) {
    const SystemClock clock;
    for (int i = 0; i < 500 && children() != wanted; ++i)
      (void)os::sleep_until(clock.boot() + 10ms, {});
    return children() == wanted;
  }
  static Spare spare(Milliseconds patience) {
    const auto worker = os::environment("HOLDFAST_BIN").value_or("bin") + "/holdfast-worker";
    return Spare{network_child(worker, -1), patience};
  }
};

TEST_F(SpareTest, IsStartedAheadAndTakenOnce) {
  auto spare = SpareTest::spare(60s);
  spare.prepare();
  ASSERT_TRUE(come_to(1));
  spare.prepare();
  auto first = spare.take();
  EXPECT_TRUE(first->start());
  EXPECT_EQ(children(), 1) << "it was there already, and one is enough";
  auto second = spare.take();
  EXPECT_EQ(children(), 1) << "not started before it is needed";
  EXPECT_TRUE(second->start());
  EXPECT_EQ(children(), 2);
  first.reset();
  second.reset();
  EXPECT_EQ(children(), 0);
}

TEST_F(SpareTest, IsWaitedForWhileItStarts) {
  for (int i = 0; i < 20; ++i) {
    auto spare = SpareTest::spare(60s);
    spare.prepare();
    const auto child = spare.take();
    EXPECT_TRUE(child->start());
    EXPECT_EQ(children(), 1) << "not one that waits and another that was taken";
  }
}

TEST_F(SpareTest, IsGivenUpWhenNobodyTakesIt) {
  auto spare = SpareTest::spare(100ms);
  spare.prepare();
  ASSERT_TRUE(come_to(1));
  EXPECT_TRUE(come_to(0));
  const SystemClock clock;
  for (int i = 0; i < 500 && children() == 0; ++i) {  // its thread may be about to end
    spare.prepare();
    (void)os::sleep_until(clock.boot() + 10ms, {});
  }
  EXPECT_EQ(children(), 1) << "and started again for the next";
}

TEST_F(SpareTest, EndsWithItsOwner) {
  {
    auto spare = SpareTest::spare(60s);
    spare.prepare();
    ASSERT_TRUE(come_to(1));
  }
  EXPECT_EQ(children(), 0);
}

}  // namespace
}  // namespace holdfast::deploy::fetch
