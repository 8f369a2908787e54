#include "deploy/plan/admission/admission.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/plan_world.hpp"

namespace holdfast::test {
namespace {

using namespace deploy::plan;
using proto::ImagePolicy;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Status admitted(const std::string& tag, const ImagePolicy& policy) {
  return admit({{"web", "registry.example.com/shop/web:" + tag, tag}}, policy);
}

TEST(Admission, ATagIsAVersionByOneRule) {
  const ImagePolicy versions{.require_semver_tag = true, .require_signature = {}, .max_size = {}};
  for (const auto* tag : {"1.8.2", "v1.8.2", "1.0.0-rc.1", "1.0.0+build.5", "0.0.0"})
    EXPECT_TRUE(admitted(tag, versions)) << tag;
  for (const auto* tag : {"", "latest", "1.8", "1.8.2.1", "1.02.0", "1.0.0-", "1.0.0-rc..1",
                          "1.0.0-01", "1.0.0+", "V1.8.2", "1.8.x"}) {
    const auto refused = admitted(tag, versions);
    ASSERT_FALSE(refused) << tag;
    EXPECT_EQ(refused.error().code(), Errc::policy);
    EXPECT_FALSE(refused.error().next_step().empty());
  }
  EXPECT_TRUE(admitted("latest", {}));
}

TEST(Admission, TheStricterOfHostAndDocumentCounts) {
  const ImagePolicy host{
      .require_semver_tag = true, .require_signature = {"ops"}, .max_size = Bytes{100}};
  const ImagePolicy document{
      .require_semver_tag = false, .require_signature = {"dev", "ops"}, .max_size = Bytes{50}};
  for (const auto& both : {stricter(host, document), stricter(document, host)}) {
    EXPECT_TRUE(both.require_semver_tag);
    EXPECT_THAT(both.require_signature, ElementsAre("dev", "ops"));
    EXPECT_EQ(both.max_size, Bytes{50});
  }
  EXPECT_EQ(stricter(host, {}).max_size, Bytes{100});
  EXPECT_EQ(stricter({}, {}).max_size, std::nullopt);
}

TEST(Admission, SignaturesThatNobodyChecksAreNotTakenForChecked) {
  const auto refused = admitted(
      "1.0.0", {.require_semver_tag = false, .require_signature = {"release-key"}, .max_size = {}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::policy);
  EXPECT_THAT(refused.error().what(), HasSubstr("signatures by release-key"));
}

TEST(Admission, HooksAreImagesToo) {
  auto document = *make_deployment({{"web", {}}});
  document.hooks.before.push_back(make_hook("migrate"));
  std::vector<std::string> names;
  for (const auto& facts : image_facts(document)) names.push_back(facts.container);
  EXPECT_THAT(names, ::testing::UnorderedElementsAre("migrate", "web"));
}

}  // namespace
}  // namespace holdfast::test
