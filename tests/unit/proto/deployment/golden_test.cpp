#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

#include "common/os/file.hpp"
#include "proto/deployment/deployment.hpp"

// A changed golden file means that every host restarts its containers after an upgrade of the
// agent. It takes a new apiVersion, not a new golden file.

namespace holdfast::proto {
namespace {

std::string rendered(const Deployment& deployment) {
  auto text = fmt::format("{}\nspec {}\n", deployment.canonical_json, deployment.spec_digest.str());
  for (const auto& [name, service] : deployment.services)
    text += fmt::format("{} run {} policy {}\n", name.str(), service.run_hash.str(),
                        service.policy_hash.str());
  return text;
}

class Golden : public testing::TestWithParam<const char*> {};

TEST_P(Golden, CanonicalTextDigestAndHashesNeverChange) {
  const std::string base = std::string{"tests/unit/proto/golden/"} + GetParam();
  const auto yaml = os::read_file(base + ".yaml");
  const auto golden = os::read_file(base + ".golden");
  ASSERT_TRUE(yaml && golden);
  const auto deployment = load_deployment(*yaml, GetParam());
  ASSERT_TRUE(deployment) << deployment.error().what();
  EXPECT_EQ(rendered(*deployment), *golden);
}

INSTANTIATE_TEST_SUITE_P(Documents, Golden,
                         testing::Values("minimal", "shop", "every_key", "files_and_process"));

}  // namespace
}  // namespace holdfast::proto
