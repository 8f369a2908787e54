#include "deploy/image/upkeep/selection.hpp"

#include <gmock/gmock.h>

namespace holdfast::deploy::image {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

proto::Digest digest(const std::string& start) {
  return proto::Digest::parse("sha256:" + start + std::string(64 - start.size(), '0')).value();
}

ImageInfo info(const std::string& start, const std::string& tag) {
  return {.pinned = digest(start),
          .manifest = digest(start),
          .reference = "r.io/a:" + tag + "@" + digest(start).str()};
}

const std::vector<ImageInfo> kAll{info("abcdef1", "1"), info("abcdef2", "2"), info("123456", "3")};

TEST(SelectImages, KnowsAReferenceADigestAndTheBeginningOfOne) {
  for (const auto& name :
       {kAll[0].reference, kAll[0].pinned.str(), kAll[0].pinned.hex(), std::string{"abcdef1"},
        std::string{"sha256:abcdef1"}, "other.io/mirror@" + kAll[0].pinned.str()})
    EXPECT_THAT(select_images({name}, kAll).value(), ElementsAre(digest("abcdef1"))) << name;
  EXPECT_EQ(select_images({"abcdef1", "123456", "123456"}, kAll)->size(), 2U);
  EXPECT_TRUE(select_images({}, kAll)->empty());
}

TEST(SelectImages, RefusesWhatIsNotHereAndWhatFitsSeveral) {
  EXPECT_EQ(select_images({"abcdef"}, kAll).error().code(), Errc::conflict);
  for (const auto* name : {"abcde", "fedcba", "r.io/a:1", "", "ABCDEF1"})
    EXPECT_EQ(select_images({name}, kAll).error().code(), Errc::not_found) << name;
}

TEST(DamagedOf, GivesWhatIsDamagedAndWanted) {
  auto all = kAll;
  all[0].damage = {"layer x"};
  all[2].damage = {"layer y"};
  EXPECT_EQ(damaged_of(all, {}).size(), 2U);
  const auto some = damaged_of(all, {all[1].pinned, all[2].pinned});
  ASSERT_EQ(some.size(), 1U);
  EXPECT_EQ(some[0].pinned, all[2].pinned);
}

TEST(LeaseEnd, IsADayOrATimeInTheFuture) {
  const WallTime now{std::chrono::hours{24 * 365 * 55}};
  EXPECT_EQ(lease_end("", now).value(), now + 24h);
  EXPECT_EQ(lease_end(to_rfc3339(now + 1h), now).value(), now + 1h);
  EXPECT_EQ(lease_end(to_rfc3339(now), now).error().code(), Errc::usage);
  EXPECT_FALSE(lease_end("tomorrow", now));
}

}  // namespace
}  // namespace holdfast::deploy::image
