#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "proto/deployment/deployment.hpp"

// The documents below tests/unit/proto/cases are also held against deployment.schema.json
// (schema_test.cpp). Their first lines say what the parser reports: "# expect LINE:COLUMN: text"
// and "# warn LINE:COLUMN: text".

namespace holdfast::proto {
namespace {

std::vector<std::filesystem::path> cases(const std::string& kind) {
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::directory_iterator{"tests/unit/proto/cases/" + kind})
    found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<std::string> announced(std::string_view text, std::string_view marker) {
  std::vector<std::string> found;
  for (const auto line : split(text, '\n')) {
    if (line.starts_with(marker)) found.push_back("x:" + std::string{line.substr(marker.size())});
  }
  return found;
}

std::vector<std::string> texts(const std::vector<Diagnostic>& diagnostics) {
  std::vector<std::string> found;
  for (const auto& diagnostic : diagnostics) found.push_back(diagnostic.to_string());
  return found;
}

TEST(DeploymentCases, BadDocumentsAreRefusedWithEveryFaultInItsPlace) {
  const auto paths = cases("bad");
  ASSERT_GT(paths.size(), 100U);
  for (const auto& path : paths) {
    const auto text = os::read_file(path);
    ASSERT_TRUE(text) << path;
    const auto parsed = parse_deployment(*text, "x");
    EXPECT_FALSE(parsed.deployment) << path;
    EXPECT_FALSE(parsed.errors.empty()) << path;
    EXPECT_EQ(texts(parsed.errors), announced(*text, "# expect ")) << path;
  }
}

TEST(DeploymentCases, GoodDocumentsAreAcceptedWithTheWarningsTheyAnnounce) {
  const auto paths = cases("good");
  ASSERT_GT(paths.size(), 15U);
  for (const auto& path : paths) {
    const auto text = os::read_file(path);
    ASSERT_TRUE(text) << path;
    const auto parsed = parse_deployment(*text, "x");
    EXPECT_TRUE(parsed.deployment) << path;
    EXPECT_EQ(texts(parsed.errors), std::vector<std::string>{}) << path;
    const auto expected = announced(*text, "# warn ");
    if (!expected.empty()) {
      EXPECT_EQ(texts(parsed.warnings), expected) << path;
    }
  }
}

TEST(DeploymentCases, CanonicalTextIsADocumentWithTheSameDigestAndHashes) {
  for (const auto& path : cases("good")) {
    const auto text = os::read_file(path);
    ASSERT_TRUE(text) << path;
    const auto first = load_deployment(*text, "x");
    ASSERT_TRUE(first) << path;
    const auto again = load_deployment(first->canonical_json, "canonical");
    ASSERT_TRUE(again) << path << ": " << again.error().what();
    EXPECT_EQ(again->canonical_json, first->canonical_json) << path;
    EXPECT_EQ(again->spec_digest, first->spec_digest) << path;
    ASSERT_EQ(again->services.size(), first->services.size()) << path;
    for (const auto& [name, service] : first->services) {
      EXPECT_EQ(again->services.at(name).run_hash, service.run_hash) << path << name.str();
      EXPECT_EQ(again->services.at(name).policy_hash, service.policy_hash) << path << name.str();
    }
  }
}

}  // namespace
}  // namespace holdfast::proto
