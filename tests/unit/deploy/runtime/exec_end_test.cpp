#include "deploy/runtime/exec_end.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

namespace holdfast::deploy::runtime {
namespace {

using ::testing::HasSubstr;

using proto::api::ExecReport;
using proto::api::ExecStop;

ExecOutcome outcome(std::optional<ExecReport> report) {
  return {
      .instance = InstanceId{"web-1"}, .report = std::move(report), .told = {}, .runtime_log = {}};
}

ExecOutcome exited(std::uint8_t code) { return outcome(ExecReport{ExecStop::exited, code, {}}); }

proto::api::ExecEnd not_started(const std::string& reason) {
  auto known = outcome(ExecReport{ExecStop::not_started, 0, "E_RUNTIME"});
  known.runtime_log = fmt::format(R"({{"level":"error","msg":"{}"}})", reason);
  return exec_end(known);
}

TEST(ExecEnds, TheCodeOfTheCommandIsAllThatIsSaidOfItsEnd) {
  for (const auto code : std::initializer_list<std::uint8_t>{0, 3, 137, 143}) {
    const auto end = exec_end(exited(code));
    EXPECT_EQ(end.exit_code, code);
    EXPECT_FALSE(end.error);
  }
}

TEST(ExecEnds, AKillByTheEndOfTheInstanceSaysSo) {
  auto known = exited(137);
  known.instance_ended = true;
  const auto end = exec_end(known);
  EXPECT_EQ(end.exit_code, 137U);
  ASSERT_TRUE(end.error);
  EXPECT_EQ(end.error->message, "web-1 has ended: the session has ended");
  known.report = ExecReport{ExecStop::exited, 3, {}};
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
  auto told = outcome(ExecReport{.stop = ExecStop::told});
  told.told = "is stopped";
  EXPECT_EQ(exec_end(told).exit_code, 137U);
  EXPECT_EQ(exec_end(told).error->message, "web-1 is stopped: the session has ended");
  told.report = ExecReport{ExecStop::not_started, 0, "E_CANCELLED"};
  EXPECT_EQ(exec_end(told).error->message, "web-1 is stopped: the session has ended");
  told.report.reset();
  EXPECT_EQ(exec_end(told).error->message, "web-1 is stopped: the session has ended")
      << "its process was killed before it had said a word";
  const std::pair<ExecStop, const char*> ends[] = {{ExecStop::client_gone, "E_CANCELLED"},
                                                   {ExecStop::slow_client, "E_TIMED_OUT"},
                                                   {ExecStop::idle, "E_TIMED_OUT"},
                                                   {ExecStop::bad_frame, "E_USAGE"}};
  for (const auto& [stop, code] : ends) {
    const auto end = exec_end(outcome(ExecReport{.stop = stop}));
    EXPECT_EQ(end.exit_code, 137U) << code;
    EXPECT_EQ(end.error->code, code);
  }
  const auto nothing = exec_end(outcome(std::nullopt));
  EXPECT_EQ(nothing.exit_code, 0U);
  EXPECT_EQ(nothing.error->code, "E_INTERNAL");
}

TEST(ExecEnds, OnlyAKillAndACommandThatDidNotBeginMayBeByTheInstance) {
  EXPECT_TRUE(may_be_by_the_instance({ExecStop::exited, 137, {}}));
  EXPECT_TRUE(may_be_by_the_instance({ExecStop::not_started, 0, "E_RUNTIME"}));
  EXPECT_FALSE(may_be_by_the_instance({ExecStop::exited, 0, {}}));
  EXPECT_FALSE(may_be_by_the_instance({ExecStop::exited, 143, {}}));
  EXPECT_FALSE(may_be_by_the_instance({ExecStop::client_gone, 137, {}}));
}

}  // namespace
}  // namespace holdfast::deploy::runtime
