#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "proto/deployment/deployment.hpp"

namespace holdfast::proto {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const std::string kOld = "sha256:" + std::string(64, '1');
const std::string kNew = "sha256:" + std::string(64, '2');

std::string document(const std::string& service) {
  return R"({"apiVersion":"holdfast/v1","name":"s","services":{"web":)" + service + "}}";
}

std::vector<FieldChange> changes(const std::string& before, const std::string& after) {
  auto found = diff_documents(document(before), document(after));
  EXPECT_TRUE(found) << found.error().to_string();
  return found ? *std::move(found) : std::vector<FieldChange>{};
}

TEST(Diff, ListsEachFieldByItsPathInOrder) {
  EXPECT_THAT(changes(R"({"env":{"A":"1","B":"2"},"restart":"no"})",
                      R"({"env":{"A":"1","B":"3","C":"4"},"stop":{"timeout":"10000ms"}})"),
              ElementsAre(FieldChange{"services.web.env.B", "2", "3", true},
                          FieldChange{"services.web.env.C", "", "4", true},
                          FieldChange{"services.web.restart", "no", "", false},
                          FieldChange{"services.web.stop.timeout", "", "10000ms", false}));
}

TEST(Diff, TellsHooksApartByTheirPlace) {
  const auto hooks = [](const std::string& list) {
    return R"({"apiVersion":"holdfast/v1","hooks":{"before":)" + list + R"(},"name":"s"})";
  };
  const auto found = diff_documents(hooks(R"([{"command":["up"],"name":"a"}])"),
                                    hooks(R"([{"command":["up","2"],"name":"a"},{"name":"b"}])"));
  ASSERT_TRUE(found);
  EXPECT_THAT(*found, ElementsAre(FieldChange{"hooks.before[0].command", R"(["up"])",
                                              R"(["up","2"])", false},
                                  FieldChange{"hooks.before[1].name", "", "b", false}));
}

TEST(Diff, TellsConfigsApartByTheirTargetAndDoesNotShowTheirContent) {
  const auto before = R"({"configs":[{"content":"one","mode":"0444","target":"/etc/a.conf"}]})";
  const auto after =
      R"({"configs":[{"content":"three","mode":"0444","target":"/etc/a.conf"},{"content":"x","target":"/b"}]})";
  EXPECT_THAT(changes(before, after),
              ElementsAre(FieldChange{"services.web.configs[/b].content", "",
                                      "1 bytes, 2d711642b726", true},
                          FieldChange{"services.web.configs[/etc/a.conf].content",
                                      "3 bytes, 7692c3ad3540", "5 bytes, 8b5b9db0c13d", true}));
}

TEST(Diff, OfEqualDocumentsIsEmpty) {
  EXPECT_THAT(changes(R"({"env":{"A":"1"}})", R"({"env":{"A":"1"}})"), IsEmpty());
}

TEST(Diff, SaysThatANewDigestRestartsAndANewTagDoesNot) {
  EXPECT_TRUE(
      changes(R"({"image":"r.io/w:1@)" + kOld + "\"}", R"({"image":"r.io/w:2@)" + kNew + "\"}")[0]
          .restarts);
  EXPECT_FALSE(
      changes(R"({"image":"r.io/w:1@)" + kOld + "\"}", R"({"image":"r.io/w:2@)" + kOld + "\"}")[0]
          .restarts);
}

TEST(Diff, TellsAnEmptyTextFromAnAbsentOne) {
  EXPECT_THAT(changes(R"({"env":{"A":""}})", R"({"env":{}})"),
              ElementsAre(FieldChange{"services.web.env.A", "", "", true}));
}

TEST(Diff, ShowsListsAsAWhole) {
  EXPECT_THAT(changes(R"({"publish":["80:80/tcp"]})", R"({"publish":["80:80/tcp","81:81/tcp"]})"),
              ElementsAre(FieldChange{"services.web.publish", R"(["80:80/tcp"])",
                                      R"(["80:80/tcp","81:81/tcp"])", false}));
}

TEST(Diff, TakesNothingForNoDocument) {
  const auto found = diff_documents("", document(R"({"restart":"no"})"));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->size(), 3U);
}

TEST(Diff, RefusesWhatIsNoDocument) {
  EXPECT_FALSE(diff_documents("[1.5]", "{}"));
  EXPECT_FALSE(diff_documents("{}", "{"));
  EXPECT_TRUE(diff_documents("{\"a\":1.5}", "{}"));
}

}  // namespace
}  // namespace holdfast::proto
