#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/plan_world.hpp"

namespace holdfast::test {
namespace {

using namespace deploy::plan;

std::map<std::string, ServiceShape> random_services(std::mt19937& random,
                                                    const std::string& version) {
  std::map<std::string, ServiceShape> services;
  const std::size_t count = 1 + random() % 5;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string name(1, static_cast<char>('a' + i));
    ServiceShape shape;
    shape.version = random() % 2 == 0 ? "stable" : version;
    shape.policy = random() % 3 == 0 ? version : "p";
    shape.port = random() % 2 == 0 ? static_cast<std::uint16_t>(8000 + i) : std::uint16_t{0};
    shape.replace = random() % 5 == 0;
    shape.probed = random() % 4 != 0;
    if (i > 0 && random() % 3 == 0)
      shape.depends_on.push_back(std::string(1, static_cast<char>('a' + random() % i)));
    services[name] = shape;
  }
  return services;
}

/// Instances of services that are the same before and after.
std::set<InstanceId> unchanged_instances(const PlanWorld& world, const proto::Deployment& next) {
  std::set<InstanceId> kept;
  for (const auto& [service, id] : world.progress.serving) {
    const auto wanted = next.services.find(service);
    if (wanted != next.services.end() &&
        world.observed.instances.at(id).seen.run_hash == wanted->second.run_hash)
      kept.insert(id);
  }
  return kept;
}

TEST(PlanProperty, RandomWorldsConvergeAndServeThroughout) {
  constexpr std::uint32_t kWorlds = 2000;
  for (std::uint32_t seed = 0; seed < kWorlds; ++seed) {
    std::mt19937 random{seed};
    PlanWorld world{seed};
    world.apply(make_deployment(random_services(random, "v1")));
    ASSERT_TRUE(world.settle()) << "first rollout, seed " << seed;

    const bool bad = random() % 3 == 0;
    if (bad) (random() % 2 == 0 ? world.sick : world.crashing).insert("v2");
    const auto next = make_deployment(random_services(random, "v2"));
    const auto kept = unchanged_instances(world, *next);
    const auto touched = world.touched;
    world.apply(next);
    while (world.progress.rollout) {
      world.step();
      ASSERT_THAT(world.violations, ::testing::IsEmpty()) << "seed " << seed;
    }
    for (const auto& id : kept) {
      const auto before = touched.find(id);
      ASSERT_EQ(world.touched[id], before == touched.end() ? 0 : before->second)
          << id.str() << ", seed " << seed;
    }
    ASSERT_TRUE(world.settle()) << "second rollout, seed " << seed;
    const auto& in_force = *world.generations.at(world.progress.current);
    ASSERT_EQ(world.observed.instances.size(), in_force.services.size()) << "seed " << seed;
    const auto again = world.step();
    for (const auto& action : again.actions)
      ASSERT_TRUE(std::holds_alternative<ProbeNow>(action)) << "seed " << seed;
    ASSERT_THAT(world.violations, ::testing::IsEmpty()) << "seed " << seed;
  }
}

TEST(PlanProperty, EqualInputGivesEqualOutput) {
  PlanWorld world{7};
  world.apply(make_deployment({{"a", {.port = 80}}, {"b", {.depends_on = {"a"}}}}));
  const Settings settings{proto::Subnet{0x0A5A0000, 16}};
  for (int i = 0; i < 60; ++i) {
    const auto one = decide(world.progress, world.observed, settings, world.now);
    const auto two = decide(world.progress, world.observed, settings, world.now);
    EXPECT_EQ(one.actions, two.actions);
    EXPECT_EQ(encode_progress(one.progress), encode_progress(two.progress));
    world.step();
  }
}

}  // namespace
}  // namespace holdfast::test
