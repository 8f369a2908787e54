#include "proto/deployment/schema.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <set>
#include <string>

#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "common/os/process.hpp"
#include "proto/deployment/deployment.hpp"

namespace holdfast::proto {
namespace {

namespace bj = boost::json;

TEST(DeploymentSchema, IsTheFileInTheRepository) {
  const auto file = os::read_file("proto/deployment.schema.json");
  ASSERT_TRUE(file);
  EXPECT_EQ(deployment_schema(), *file);
}

TEST(DeploymentSchema, AgreesWithTheParserOnEveryCase) {
  os::RunOptions options;
  options.spawn.argv = {"/usr/bin/python3", "-B", "tests/lint/schema_check.py",
                        "proto/deployment.schema.json", "tests/unit/proto/cases"};
  options.spawn.env = {os::kChildPath};
  const auto result = os::run(options);
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_TRUE(os::succeeded(result->status)) << result->out << result->err;
}

struct Mapping {
  const char* name;
  const char* document;  ///< {} stands for the mapping's text
  const char* pointer;   ///< JSON pointer to its properties in the schema
};

constexpr Mapping kMappings[] = {
    {"document", "{}", "/properties"},
    {"policy", "policy: {}", "/properties/policy/properties"},
    {"images", "policy: {{images: {}}}", "/properties/policy/properties/images/properties"},
    {"service", "services: {{a: {}}}", "/definitions/service/properties"},
    {"resources", "services: {{a: {{resources: {}}}}}",
     "/definitions/service/properties/resources/properties"},
    {"update", "services: {{a: {{update: {}}}}}",
     "/definitions/service/properties/update/properties"},
    {"security", "services: {{a: {{security: {}}}}}",
     "/definitions/service/properties/security/properties"},
    {"stop", "services: {{a: {{stop: {}}}}}", "/definitions/service/properties/stop/properties"},
    {"volume", "services: {{a: {{volumes: [{}]}}}}",
     "/definitions/service/properties/volumes/items/properties"},
    {"secret", "services: {{a: {{secrets: [{}]}}}}",
     "/definitions/service/properties/secrets/items/properties"},
    {"config", "services: {{a: {{configs: [{}]}}}}",
     "/definitions/service/properties/configs/items/properties"},
    {"ulimits", "services: {{a: {{ulimits: {}}}}}",
     "/definitions/service/properties/ulimits/properties"},
    {"device", "services: {{a: {{devices: [{}]}}}}",
     "/definitions/service/properties/devices/items/anyOf/1/properties"},
    {"variable", "services: {{a: {{env: {{A: {}}}}}}}",
     "/definitions/service/properties/env/additionalProperties/anyOf/1/properties"},
    {"tmpfs", "services: {{a: {{tmpfs: [{}]}}}}",
     "/definitions/service/properties/tmpfs/items/anyOf/1/properties"},
    {"hooks", "hooks: {}", "/properties/hooks/properties"},
    {"hook", "hooks: {{before: [{}]}}", "/definitions/hook/properties"},
    {"health", "services: {{a: {{health: {}}}}}", "/definitions/health/properties"},
};

/// The keys that the parser knows, as it lists them for a key that resembles none.
std::set<std::string> known_to_the_parser(const Mapping& mapping) {
  const auto text = fmt::format(fmt::runtime(mapping.document), "{qqqqqqqqqqqq: 1}");
  std::set<std::string> keys;
  for (const auto& error : parse_deployment(text, "x").errors) {
    constexpr std::string_view kList = "known keys: ";
    if (!error.hint.starts_with(kList)) continue;
    for (const auto key : split(std::string_view{error.hint}.substr(kList.size()), ','))
      keys.emplace(trim(key));
  }
  return keys;
}

TEST(DeploymentSchema, HasExactlyTheKeysOfTheParser) {
  const auto schema =
      bj::parse(bj::string_view{deployment_schema().data(), deployment_schema().size()});
  for (const auto& mapping : kMappings) {
    std::set<std::string> keys;
    for (const auto& member : schema.at_pointer(mapping.pointer).as_object())
      keys.emplace(member.key());
    EXPECT_EQ(known_to_the_parser(mapping), keys) << mapping.name;
  }
}

}  // namespace
}  // namespace holdfast::proto
