#include "deploy/engine/state/quarantine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast::deploy::engine {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

const WallTime kNow{std::chrono::hours{24 * 365 * 55}};

ledger::Quarantine row(const char* content, std::optional<WallTime> until) {
  return {proto::Digest::of(content), "root", "bad", kNow, {}, until};
}

TEST(Quarantine, EndsAtItsTimeAndOneWithoutATimeNever) {
  Quarantine quarantine;
  quarantine.put(row("for ever", {}));
  quarantine.put(row("an hour", kNow + 1h));
  quarantine.put(row("two hours", kNow + 2h));
  EXPECT_TRUE(quarantine.ended(kNow).empty());
  EXPECT_EQ(quarantine.next_end(kNow), kNow + 1h);
  EXPECT_THAT(quarantine.ended(kNow + 1h), ElementsAre(proto::Digest::of("an hour")));
  EXPECT_EQ(quarantine.next_end(kNow + 1h), kNow + 2h);
  EXPECT_EQ(quarantine.next_end(kNow + 2h), std::nullopt);
}

TEST(Quarantine, EveryChangeMakesANewRevision) {
  Quarantine quarantine;
  const auto first = quarantine.revision();
  quarantine.put(row("a", {}));
  const auto second = quarantine.revision();
  quarantine.lift(proto::Digest::of("a"));
  EXPECT_NE(first, second);
  EXPECT_NE(second, quarantine.revision());
  EXPECT_EQ(quarantine.find(proto::Digest::of("a")), nullptr);
}

}  // namespace
}  // namespace holdfast::deploy::engine
