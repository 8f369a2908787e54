// Instances come and go; what a service has used only grows.
#include "deploy/runtime/observe/workload_usage.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast::deploy::runtime {
namespace {

using ::testing::IsEmpty;
using ::testing::Key;
using ::testing::UnorderedElementsAre;

UsageReading reading(const std::string& id, double cpu, std::uint64_t memory) {
  UsageReading made{
      .id = plan::InstanceId{id}, .service = id.substr(0, id.find('-')), .is_new = true, .now = {}};
  made.now.cpu_seconds = cpu;
  made.now.io_read_bytes = static_cast<std::uint64_t>(cpu) * 10;
  made.now.memory_bytes = made.now.working_set_bytes = memory;
  made.now.memory_limit_bytes = 1000;
  return made;
}

TEST(WorkloadUsages, ADeclaredServiceIsThereBeforeItsFirstInstanceAndGoesWhenNothingIsLeft) {
  WorkloadUsages usages;
  usages.take({}, {"web", "db"});
  EXPECT_THAT(usages.all(), UnorderedElementsAre(Key("web"), Key("db")));
  usages.take({reading("old-1", 1, 1)}, {"web"});
  EXPECT_THAT(usages.all(), UnorderedElementsAre(Key("web"), Key("old")));
  usages.take({}, {});
  EXPECT_THAT(usages.all(), IsEmpty());
}

TEST(WorkloadUsages, ASwitchNeitherLosesNorRepeatsWhatWasUsed) {
  WorkloadUsages usages;
  usages.take({reading("web-1", 5, 100)}, {"web"});
  usages.take({reading("web-1", 7, 100), reading("web-2", 1, 50)}, {"web"});
  EXPECT_DOUBLE_EQ(usages.all().at("web").sum.cpu_seconds, 8);
  EXPECT_EQ(usages.all().at("web").sum.memory_bytes, 150U) << "both are there";
  EXPECT_EQ(usages.all().at("web").sum.memory_limit_bytes, 2000U);
  usages.take({reading("web-2", 3, 50)}, {"web"});
  EXPECT_DOUBLE_EQ(usages.all().at("web").sum.cpu_seconds, 10);
  EXPECT_EQ(usages.all().at("web").sum.io_read_bytes, 100U);
  EXPECT_EQ(usages.all().at("web").sum.memory_bytes, 50U);
}

TEST(WorkloadUsages, OfAnInstanceThatAnEarlierAgentMadeOnlyWhatComesCounts) {
  WorkloadUsages usages;
  auto adopted = reading("web-1", 5000, 100);
  adopted.is_new = false;
  usages.take({adopted}, {"web"});
  EXPECT_DOUBLE_EQ(usages.all().at("web").sum.cpu_seconds, 0);
  adopted.now.cpu_seconds = 5002;
  usages.take({adopted}, {"web"});
  EXPECT_DOUBLE_EQ(usages.all().at("web").sum.cpu_seconds, 2);
}

TEST(WorkloadUsages, AGroupThatWasMadeAnewCountsFromZero) {
  WorkloadUsages usages;
  usages.take({reading("web-1", 9, 100)}, {"web"});
  usages.take({reading("web-1", 2, 100)}, {"web"});
  EXPECT_DOUBLE_EQ(usages.all().at("web").sum.cpu_seconds, 11);
}

TEST(WorkloadUsages, AFrozenInstanceIsInNoFigureOfWhatRuns) {
  WorkloadUsages usages;
  auto frozen = reading("web-1", 4, 300);
  frozen.frozen = true;
  usages.take({frozen, reading("web-2", 1, 50)}, {"web"});
  EXPECT_EQ(usages.all().at("web").sum.memory_bytes, 50U);
  EXPECT_EQ(usages.all().at("web").sum.memory_limit_bytes, 1000U);
  EXPECT_EQ(usages.all().at("web").standby_memory_bytes, 300U);
  EXPECT_DOUBLE_EQ(usages.all().at("web").sum.cpu_seconds, 5) << "it was used";
}

TEST(WorkloadUsages, WaitingIsThereWhereTheKernelKeepsAnAccount) {
  WorkloadUsages usages;
  auto first = reading("web-1", 1, 1);
  usages.take({first, reading("db-1", 1, 1)}, {"web", "db"});
  EXPECT_FALSE(usages.all().at("web").sum.waiting);
  first.now.waiting = Waiting{.cpu = 1, .memory = 2, .io = 3};
  usages.take({first, reading("db-1", 1, 1)}, {"web", "db"});
  ASSERT_TRUE(usages.all().at("web").sum.waiting);
  EXPECT_DOUBLE_EQ(usages.all().at("web").sum.waiting->io, 3);
  EXPECT_FALSE(usages.all().at("db").sum.waiting);
}

}  // namespace
}  // namespace holdfast::deploy::runtime
