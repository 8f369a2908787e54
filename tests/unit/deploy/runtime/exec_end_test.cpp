#include "deploy/runtime/exec_end.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

namespace holdfast::deploy::runtime {
namespace {

using ::testing::HasSubstr;

ExecOutcome outcome(std::string line) {
  return {.instance = InstanceId{"web-1"}, .line = std::move(line), .told = {}, .runtime_log = {}};
}

proto::api::ExecEnd not_started(const std::string& reason) {
  auto known = outcome("not_started E_RUNTIME 0\n");
  known.runtime_log = fmt::format(R"({{"level":"error","msg":"{}"}})", reason);
  return exec_end(known);
}

TEST(ExecEnds, TheCodeOfTheCommandIsAllThatIsSaidOfItsEnd) {
  for (const auto code : {0U, 3U, 137U, 143U}) {
    const auto end = exec_end(outcome(fmt::format("exited {}\n", code)));
    EXPECT_EQ(end.exit_code, code);
    EXPECT_FALSE(end.error);
  }
}

TEST(ExecEnds, AKillByTheEndOfTheInstanceSaysSo) {
  auto known = outcome("exited 137\n");
  known.instance_ended = true;
  const auto end = exec_end(known);
  EXPECT_EQ(end.exit_code, 137U);
  ASSERT_TRUE(end.error);
  EXPECT_EQ(end.error->message, "web-1 has ended: the session has ended");
  known.line = "exited 3\n";
  EXPECT_FALSE(exec_end(known).error) << "it had ended by itself";
}

/// What runc 1.1 and crun 1.8 write for each.
TEST(ExecEnds, AProgramThatIsNotThereIs127AndOneThatCannotBeRunIs126) {
  for (
      const auto* reason :
      {R"(exec failed: unable to start container process: exec: \"nosuch\": executable file not found in $PATH)",
       R"(exec failed: unable to start container process: exec: \"/nosuch\": stat /nosuch: no such file or directory)",
       R"(executable file `nosuch` not found in $PATH: No such file or directory)"}) {
    const auto end = not_started(reason);
    EXPECT_EQ(end.exit_code, 127U) << reason;
    ASSERT_TRUE(end.error);
    EXPECT_THAT(end.error->message, HasSubstr("nosuch"));
    EXPECT_FALSE(end.error->next.empty());
  }
  for (
      const auto* reason :
      {R"(exec failed: unable to start container process: exec: \"/www\": permission denied)",
       R"(exec failed: unable to start container process: exec /x: exec format error)",
       R"(exec failed: unable to start container process: chdir to cwd (\"/nowhere\") set in config.json failed: no such file or directory)",
       R"(chdir: No such file or directory)", R"(open executable: Permission denied)"})
    EXPECT_EQ(not_started(reason).exit_code, 126U) << reason;
  const auto other = not_started("something else went wrong");
  EXPECT_EQ(other.exit_code, 0U) << "it says nothing of the command";
  EXPECT_EQ(other.error->code, "E_RUNTIME");
}

TEST(ExecEnds, WhoEndedItIsSaidAndTheCodeIsThatOfAKill) {
  auto told = outcome("told 0\n");
  told.told = "is stopped";
  EXPECT_EQ(exec_end(told).exit_code, 137U);
  EXPECT_EQ(exec_end(told).error->message, "web-1 is stopped: the session has ended");
  told.line = "not_started E_CANCELLED 0\n";
  EXPECT_EQ(exec_end(told).error->message, "web-1 is stopped: the session has ended");
  const std::pair<const char*, const char*> ends[] = {{"client_gone 1\n", "E_CANCELLED"},
                                                      {"slow_client 0\n", "E_TIMED_OUT"},
                                                      {"idle 0\n", "E_TIMED_OUT"},
                                                      {"bad_frame 0\n", "E_USAGE"}};
  for (const auto& [line, code] : ends) {
    const auto end = exec_end(outcome(line));
    EXPECT_EQ(end.exit_code, 137U) << line;
    EXPECT_EQ(end.error->code, code) << line;
  }
  for (const auto* line : {"", "\n", "nonsense"}) {
    const auto end = exec_end(outcome(line));
    EXPECT_EQ(end.exit_code, 0U) << line;
    EXPECT_EQ(end.error->code, "E_INTERNAL") << line;
  }
}

}  // namespace
}  // namespace holdfast::deploy::runtime
