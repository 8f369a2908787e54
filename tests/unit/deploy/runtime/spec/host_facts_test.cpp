#include "deploy/runtime/spec/host_facts.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>

#include "common/os/file.hpp"

namespace holdfast::deploy::runtime {
namespace {

using testing::HasSubstr;

HostFacts facts(std::uint64_t own, bool raises) {
  HostFacts host;
  host.raises_limits = raises;
  host.nr_open = 100'000;
  host.own_limits = {{"nofile", own}, {"memlock", own}};
  return host;
}

TEST(Ulimits, AreGivenUpToWhatTheAgentHasWithoutTheCapability) {
  EXPECT_TRUE(check_ulimits({{"nofile", {.soft = 1, .hard = 500}}}, facts(500, false)));
  EXPECT_TRUE(check_ulimits({{"memlock", {.soft = 0, .hard = proto::kUnlimited}}},
                            facts(proto::kUnlimited, false)));
  const auto refused =
      check_ulimits({{"memlock", {.soft = 1, .hard = proto::kUnlimited}}}, facts(500, false));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::host);
  EXPECT_THAT(refused.error().what(), HasSubstr("ulimits.memlock is unlimited"));
  EXPECT_THAT(refused.error().what(), HasSubstr("the agent itself has 500"));
  EXPECT_THAT(refused.error().next_step(), HasSubstr("LimitMEMLOCK="));
}

TEST(Ulimits, AreRaisedWithTheCapabilityButForFilesAboveTheKernelsOwnBound) {
  EXPECT_TRUE(
      check_ulimits({{"memlock", {.soft = 1, .hard = proto::kUnlimited}}}, facts(500, true)));
  EXPECT_TRUE(check_ulimits({{"nofile", {.soft = 1, .hard = 100'000}}}, facts(500, true)));
  const auto refused = check_ulimits({{"nofile", {.soft = 1, .hard = 100'001}}}, facts(500, true));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::host);
  EXPECT_THAT(refused.error().next_step(), HasSubstr("fs.nr_open"));
}

TEST(Ulimits, OfThisProcessAreAllKnown) {
  const auto host = probe_host();
  for (const char* name : {"nofile", "nproc", "memlock", "stack", "rtprio"})
    EXPECT_TRUE(host.own_limits.contains(name)) << name;
  EXPECT_GT(host.nofile_hard, 0U);
}

TEST(Inits, AreProgramsOfRootsThatNeedNothingOfTheImage) {
  auto dir = os::TempDir::create("/tmp", "hf-init-");
  ASSERT_TRUE(dir);
  const auto at = [&](const char* name, const std::filesystem::path& from, mode_t mode) {
    const auto path = dir->path() / name;
    std::filesystem::copy_file(from, path);
    EXPECT_EQ(::chmod(path.c_str(), mode), 0);
    return path;
  };
  const auto dynamic = at("dynamic", "/bin/ls", 0755);
  const auto open = at("open", "/bin/busybox", 0777);
  const auto closed = at("closed", "/bin/busybox", 0700);
  const auto script = dir->path() / "script";
  ASSERT_TRUE(os::write_atomic(script, "#!/bin/sh\n", 0755));
  const auto fit = at("fit", "/bin/busybox", 0755);
  const auto absent = dir->path() / "absent";

  const auto found = find_init({absent, dynamic, open, closed, script, fit});
  ASSERT_TRUE(found);
  EXPECT_EQ(*found, fit);
  const auto none = find_init({absent, dynamic, open, closed, script});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code(), Errc::host);
  EXPECT_THAT(none.error().next_step(), HasSubstr("apt install catatonit"));
}

}  // namespace
}  // namespace holdfast::deploy::runtime
