// What control groups say of their use: the files of v1, of v2 and of a hybrid host as the kernel
// writes them, and those of a real instance.
#include "tests/component/deploy/runtime/fixture.hpp"

namespace holdfast::test {
namespace {

/// Hierarchies of files as kernels write them.
class UsageFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    auto dir = os::TempDir::create("/tmp", "hf-usage-");
    ASSERT_TRUE(dir);
    dir_.emplace(std::move(*dir));
  }
  void write(const std::string& name, std::string_view text) const {
    const auto path = dir_->path() / name;
    fs::create_directories(path.parent_path());
    std::ofstream{path} << text;
  }
  [[nodiscard]] std::string mount(const std::string& at, const std::string& kind,
                                  const std::string& options) const {
    return fmt::format("30 20 0:26 / {} rw - {} {} {}\n", (dir_->path() / at).string(), kind, kind,
                       options);
  }
  static rt::GroupUsage usage_of(const std::string& mounts) {
    const auto groups = rt::Cgroups::from_mountinfo(mounts);
    EXPECT_TRUE(groups);
    EXPECT_FALSE(groups->usage("/parent/gone"));
    const auto usage = groups->usage("/parent/web");
    EXPECT_TRUE(usage);
    return usage.value_or(rt::GroupUsage{});
  }
  void write_v2(const std::string& at) const {
    write(at + "/pids.current", "12\n");
    write(at + "/pids.max", "512\n");
    write(at + "/cpu.stat",
          "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\nnr_periods 40\n"
          "nr_throttled 10\nthrottled_usec 750000\n");
    write(at + "/cpu.max", "150000 100000\n");
    write(at + "/memory.current", "10485760\n");
    write(at + "/memory.max", "67108864\n");
    write(at + "/memory.stat", "anon 4096\nfile 8388608\ninactive_file 4194304\nactive_file 1\n");
    write(at + "/io.stat",
          "254:0 rbytes=1000 wbytes=2000 rios=3 wios=4 dbytes=5 dios=6\n"
          "7:1 rbytes=10 wbytes=20 rios=1 wios=1 dbytes=0 dios=0\n");
  }
  void write_pressure(const std::string& at) const {
    const std::map<std::string, int> totals{{"cpu", 1500000}, {"memory", 250000}, {"io", 3000000}};
    for (const auto& [name, total] : totals)
      write(fmt::format("{}/{}.pressure", at, name),
            fmt::format("some avg10=0.00 avg60=1.00 avg300=2.00 total={}\n"
                        "full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n",
                        total));
  }
  void write_v1() const {
    write("pids/parent/web/pids.current", "3\n");
    write("pids/parent/web/pids.max", "max\n");
    write("cpu/parent/web/cpu.stat", "nr_periods 8\nnr_throttled 2\nthrottled_time 500000000\n");
    write("cpu/parent/web/cpu.cfs_quota_us", "-1\n");
    write("cpu/parent/web/cpu.cfs_period_us", "100000\n");
    write("cpuacct/parent/web/cpuacct.usage", "1250000000\n");
    write("memory/parent/web/memory.usage_in_bytes", "8192\n");
    write("memory/parent/web/memory.limit_in_bytes", "9223372036854771712\n");
    write("memory/parent/web/memory.stat", "inactive_file 1\ntotal_inactive_file 4096\n");
    write("blkio/parent/web/blkio.throttle.io_service_bytes_recursive",
          "254:0 Read 100\n254:0 Write 200\n254:0 Sync 300\n254:0 Total 300\n7:0 Read 1\n"
          "Total 301\n");
  }
  [[nodiscard]] std::string mounts_of_v1() const {
    std::string all;
    for (const auto* name : {"pids", "cpu", "cpuacct", "memory", "blkio", "freezer"})
      all += mount(name, "cgroup", std::string{"rw,"} + name);
    return all;
  }

  std::optional<os::TempDir> dir_;
};

TEST_F(UsageFiles, OfVersion2) {
  write_v2("unified/parent/web");
  write_pressure("unified/parent/web");
  const auto usage = usage_of(mount("unified", "cgroup2", "rw"));
  EXPECT_DOUBLE_EQ(usage.cpu_seconds, 2.5);
  EXPECT_EQ(usage.cpu_periods, 40U);
  EXPECT_EQ(usage.cpu_throttled_periods, 10U);
  EXPECT_DOUBLE_EQ(usage.cpu_throttled_seconds, 0.75);
  EXPECT_DOUBLE_EQ(usage.cpu_limit, 1.5);
  EXPECT_EQ(usage.memory_bytes, 10485760U);
  EXPECT_EQ(usage.working_set_bytes, 6291456U);
  EXPECT_EQ(usage.memory_limit_bytes, 67108864U);
  EXPECT_EQ(usage.io_read_bytes, 1010U);
  EXPECT_EQ(usage.io_written_bytes, 2020U);
  EXPECT_EQ(usage.pids, 12U);
  EXPECT_EQ(usage.pids_limit, 512U);
  ASSERT_TRUE(usage.waiting);
  EXPECT_DOUBLE_EQ(usage.waiting->cpu, 1.5);
  EXPECT_DOUBLE_EQ(usage.waiting->memory, 0.25);
  EXPECT_DOUBLE_EQ(usage.waiting->io, 3);
}

TEST_F(UsageFiles, OfVersion2WithoutLimitsAndWithoutPressure) {
  write_v2("unified/parent/web");
  for (const auto* name : {"memory.max", "pids.max"})
    write(fmt::format("unified/parent/web/{}", name), "max\n");
  write("unified/parent/web/cpu.max", "max 100000\n");
  const auto usage = usage_of(mount("unified", "cgroup2", "rw"));
  EXPECT_DOUBLE_EQ(usage.cpu_limit, 0);
  EXPECT_EQ(usage.memory_limit_bytes, 0U);
  EXPECT_EQ(usage.pids_limit, 0U);
  EXPECT_FALSE(usage.waiting);
}

TEST_F(UsageFiles, OfVersion1) {
  write_v1();
  const auto usage = usage_of(mounts_of_v1());
  EXPECT_DOUBLE_EQ(usage.cpu_seconds, 1.25);
  EXPECT_EQ(usage.cpu_periods, 8U);
  EXPECT_EQ(usage.cpu_throttled_periods, 2U);
  EXPECT_DOUBLE_EQ(usage.cpu_throttled_seconds, 0.5);
  EXPECT_DOUBLE_EQ(usage.cpu_limit, 0);
  EXPECT_EQ(usage.memory_bytes, 8192U);
  EXPECT_EQ(usage.working_set_bytes, 4096U);
  EXPECT_EQ(usage.memory_limit_bytes, 0U);
  EXPECT_EQ(usage.io_read_bytes, 101U);
  EXPECT_EQ(usage.io_written_bytes, 200U);
  EXPECT_EQ(usage.pids, 3U);
  EXPECT_EQ(usage.pids_limit, 0U);
  EXPECT_FALSE(usage.waiting);
  write("cpu/parent/web/cpu.cfs_quota_us", "50000\n");
  EXPECT_DOUBLE_EQ(usage_of(mounts_of_v1()).cpu_limit, 0.5);
}

TEST_F(UsageFiles, AHybridHostTellsThePressureBesideVersion1) {
  write_v1();
  write_pressure("unified/parent/web");
  const auto usage = usage_of(mounts_of_v1() + mount("unified", "cgroup2", "rw"));
  EXPECT_EQ(usage.memory_bytes, 8192U);
  ASSERT_TRUE(usage.waiting);
  EXPECT_DOUBLE_EQ(usage.waiting->io, 3);
}

TEST_F(UsageFiles, WhatTheKernelWouldNeverWriteIsNothing) {
  write("unified/parent/web/pids.current", "x\n");
  for (const auto* name : {"cpu.stat", "cpu.max", "memory.stat", "io.stat", "cpu.pressure"})
    write(fmt::format("unified/parent/web/{}", name),
          "rbytes= total= nr_periods \nsome\n\xff =\n-1 -1 -1\n");
  const auto usage = usage_of(mount("unified", "cgroup2", "rw"));
  EXPECT_DOUBLE_EQ(usage.cpu_seconds, 0);
  EXPECT_EQ(usage.io_read_bytes, 0U);
  ASSERT_TRUE(usage.waiting);
  EXPECT_DOUBLE_EQ(usage.waiting->cpu, 0);
}

class Usage : public RuntimeTest {
 protected:
  rt::WorkloadUsage usage_of_web() {
    auto all = runtime_->workload_usage({"web"});
    EXPECT_TRUE(all.contains("web"));
    return all["web"];
  }
};

TEST_F(Usage, OfARealInstanceIsWhatItDoesAndItsLimits) {
  auto service = a_service({"/bin/sh", "-c", "echo ready; while :; do :; done"});
  service.resources.memory = Bytes{64U << 20};
  service.resources.millicpus = 200;
  EXPECT_EQ(usage_of_web().sum.pids, 0U) << "declared, and not there yet";
  create(spec("web-1", service));
  ASSERT_TRUE(eventually([&] { return usage_of_web().sum.cpu_throttled_periods > 0; }));
  const auto usage = usage_of_web();
  EXPECT_GT(usage.sum.cpu_seconds, 0);
  EXPECT_GT(usage.sum.cpu_throttled_seconds, 0);
  EXPECT_GE(usage.sum.cpu_periods, usage.sum.cpu_throttled_periods);
  EXPECT_NEAR(usage.sum.cpu_limit, 0.2, 0.001);
  EXPECT_GT(usage.sum.memory_bytes, 0U);
  EXPECT_LE(usage.sum.working_set_bytes, usage.sum.memory_bytes);
  EXPECT_EQ(usage.sum.memory_limit_bytes, 64U << 20);
  EXPECT_GE(usage.sum.pids, 1U);
  EXPECT_GT(usage.sum.pids_limit, 0U);
  EXPECT_EQ(usage.standby_memory_bytes, 0U);
}

TEST_F(Usage, OfAnotherLifeOfTheAgentCountsFromItsStart) {
  create(spec("web-1", a_service({"/bin/sh", "-c", "while :; do :; done"})));
  ASSERT_TRUE(eventually([&] { return usage_of_web().sum.cpu_seconds > 0.2; }));
  reopen();
  EXPECT_LT(usage_of_web().sum.cpu_seconds, 0.1);
  EXPECT_TRUE(eventually([&] { return usage_of_web().sum.cpu_seconds > 0.1; }));
}

TEST_F(Usage, AFrozenInstanceIsStandby) {
  create(spec("web-1", a_service(idle())));
  ASSERT_TRUE(runtime_->freeze(rt::InstanceId{"web-1"}, {}));
  const auto usage = usage_of_web();
  EXPECT_EQ(usage.sum.pids, 0U);
  EXPECT_GT(usage.standby_memory_bytes, 0U);
  ASSERT_TRUE(runtime_->thaw(rt::InstanceId{"web-1"}));
}

}  // namespace
}  // namespace holdfast::test
