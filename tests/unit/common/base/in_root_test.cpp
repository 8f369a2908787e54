#include "common/base/in_root.hpp"

#include <gmock/gmock.h>

#include <map>
#include <string>
#include <vector>

namespace holdfast {
namespace {

using testing::ElementsAre;

struct Tree {
  std::map<std::string, std::string> links;
  std::vector<std::string> asked;

  Result<std::string> walk(std::string_view path) {
    return walk_in_root(
        path,
        [this](const std::string& at) -> Result<std::optional<std::string>> {
          asked.push_back(at);
          const auto link = links.find(at);
          return link == links.end() ? std::nullopt : std::optional{link->second};
        },
        Errc::layer_unsafe);
  }
};

TEST(InRoot, APathWithoutSymlinksIsMadePlain) {
  Tree tree;
  EXPECT_EQ(*tree.walk("/a//./b/../c/"), "a/c");
  EXPECT_THAT(tree.asked, ElementsAre("a", "a/b", "a/c"));
  EXPECT_EQ(*tree.walk("/"), "");
  EXPECT_EQ(*tree.walk(""), "");
}

TEST(InRoot, SymlinksAreFollowedFromWhereTheyLieOrFromTheRoot) {
  Tree tree{.links = {{"var/run", "/run"}, {"var/lock", "../run/lock"}, {"run/lock", "real"}},
            .asked = {}};
  EXPECT_EQ(*tree.walk("var/run/x"), "run/x");
  EXPECT_EQ(*tree.walk("var/lock/x"), "run/real/x");
}

TEST(InRoot, NothingLeadsOut) {
  Tree tree{.links = {{"out", "../../../etc"}, {"up", "/../.."}}, .asked = {}};
  EXPECT_EQ(*tree.walk("out/passwd"), "etc/passwd");
  EXPECT_EQ(*tree.walk("up/etc"), "etc");
  EXPECT_EQ(*tree.walk("../../etc"), "etc");
}

TEST(InRoot, FortySymlinksAreFollowedAndNoMore) {
  Tree tree;
  for (int i = 0; i < 41; ++i) tree.links["l" + std::to_string(i)] = "l" + std::to_string(i + 1);
  EXPECT_EQ(*tree.walk("l1"), "l41");
  const auto too_many = tree.walk("l0");
  ASSERT_FALSE(too_many);
  EXPECT_EQ(too_many.error().code(), Errc::layer_unsafe);
  tree.links = {{"self", "self"}};
  EXPECT_FALSE(tree.walk("self/x"));
}

TEST(InRoot, AFaultOfTheLookEndsTheWalk) {
  const auto walked = walk_in_root(
      "a/b",
      [](const std::string& at) -> Result<std::optional<std::string>> {
        if (at == "a/b") return Error{Errc::perm, "look"};
        return std::optional<std::string>{};
      },
      Errc::layer_unsafe);
  ASSERT_FALSE(walked);
  EXPECT_EQ(walked.error().code(), Errc::perm);
}

}  // namespace
}  // namespace holdfast
