// The program itself: arguments and configuration, before anything is touched.
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/os/environment.hpp"
#include "common/os/file.hpp"
#include "common/os/process.hpp"

namespace holdfast {
namespace {

using ::testing::HasSubstr;

class Program : public ::testing::Test {
 protected:
  os::RunResult holdfastd(std::vector<std::string> arguments) {
    os::RunOptions options;
    options.spawn.argv = {os::environment("HOLDFAST_BIN").value_or("build/bin") + "/holdfastd"};
    options.spawn.argv.insert(options.spawn.argv.end(), arguments.begin(), arguments.end());
    options.spawn.env = {os::kChildPath};
    auto result = os::run(options);
    EXPECT_TRUE(result) << result.error().to_string();
    return result ? *result : os::RunResult{os::Exited{-1}, "", ""};
  }
  std::string config(const std::string& text) {
    const auto path = temporary_->path() / "agent.yaml";
    EXPECT_TRUE(os::write_atomic(path, text));
    return path.string();
  }
  Result<os::TempDir> temporary_ = os::TempDir::create("/tmp", "holdfast-program");
};

TEST_F(Program, TellsItsVersionAndItsUsage) {
  EXPECT_EQ(holdfastd({"--version"}).out, "holdfastd " HOLDFAST_VERSION "\n");
  EXPECT_THAT(holdfastd({"--help"}).out, HasSubstr("--check-config"));
}

TEST_F(Program, RefusesUnknownArguments) {
  const auto result = holdfastd({"--confg", "x"});
  EXPECT_EQ(result.status, os::ExitStatus{os::Exited{2}});
  EXPECT_THAT(result.err, HasSubstr("unknown argument \"--confg\""));
  EXPECT_EQ(holdfastd({"--config"}).status, os::ExitStatus{os::Exited{2}});
}

TEST_F(Program, ChecksAConfiguration) {
  const auto good = holdfastd({"--config", config("retain: 3\n"), "--check-config"});
  EXPECT_TRUE(os::succeeded(good.status)) << good.err;
  EXPECT_THAT(good.out, HasSubstr("is valid"));
}

TEST_F(Program, NamesEveryFaultOfAConfigurationWithItsPlace) {
  const auto bad = holdfastd({"--config", config("retian: 3\nresync: soon\n"), "--check-config"});
  EXPECT_EQ(bad.status, os::ExitStatus{os::Exited{3}});
  EXPECT_THAT(bad.err, HasSubstr("agent.yaml:1:1"));
  EXPECT_THAT(bad.err, HasSubstr("agent.yaml:2:"));
  EXPECT_THAT(bad.err, HasSubstr("retain"));
}

/// It says who has which role.
TEST_F(Program, BelievesNoConfigurationThatOthersMayWrite) {
  const auto path = config("retain: 3\n");
  const auto refused = [&](const std::string& next) {
    const auto result = holdfastd({"--config", path, "--check-config"});
    EXPECT_EQ(result.status, os::ExitStatus{os::Exited{3}}) << next;
    EXPECT_THAT(result.err, HasSubstr("next: " + next + " " + path));
  };
  ASSERT_EQ(::chmod(path.c_str(), 0666), 0);
  refused("chmod go-w");
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  ASSERT_EQ(::chown(path.c_str(), 1000, 1000), 0);
  refused("chown root");
}

TEST_F(Program, NamesAConfigurationThatIsMissing) {
  const auto result = holdfastd({"--config", "/nonexistent/agent.yaml"});
  EXPECT_FALSE(os::succeeded(result.status));
  EXPECT_THAT(result.err, HasSubstr("/nonexistent/agent.yaml"));
}

// What is tested is what is installed: faults come from outside (tests/support/faults).
TEST_F(Program, HoldsNothingOfTheFaultsOfItsTests) {
  const auto bin = os::environment("HOLDFAST_BIN").value_or("build/bin");
  for (const char* name : {"holdfastd", "holdfast", "holdfast-worker", "holdfast-fetch",
                           "holdfast-log", "holdfast-exec"}) {
    constexpr std::size_t kMostBytes = 256U << 20;
    const auto bytes = os::read_file(bin + "/" + name, kMostBytes);
    ASSERT_TRUE(bytes) << bytes.error().to_string();
    for (const char* trace : {"HOLDFAST_FAULTS", "holdfast-faults", "failpoint", "N8holdfast4test"})
      EXPECT_EQ(bytes->find(trace), std::string::npos) << name << " has " << trace;
  }
}

}  // namespace
}  // namespace holdfast
