#include "agent/cli/commands/options.hpp"

#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include "agent/cli/commands/change.hpp"
#include "agent/cli/commands/completion.hpp"
#include "agent/cli/commands/doctor.hpp"
#include "agent/cli/commands/document.hpp"
#include "agent/cli/commands/history.hpp"
#include "agent/cli/commands/image.hpp"
#include "agent/cli/commands/ledger.hpp"
#include "agent/cli/commands/readiness.hpp"
#include "agent/cli/commands/restrain.hpp"
#include "agent/cli/commands/status.hpp"
#include "agent/cli/commands/stream.hpp"
#include "agent/cli/completion/manual.hpp"
#include "agent/cli/completion/scripts.hpp"
#include "common/base/text.hpp"

namespace holdfast::agent::cli {
namespace {

template <class T>
T parsed(const std::vector<std::string>& args) {
  auto result = parse_arguments(args);
  if (const auto* leave = std::get_if<Leave>(&result)) {
    ADD_FAILURE() << leave->out << leave->err;
    return {};
  }
  const auto* command =
      dynamic_cast<const CommandOf<T>*>(std::get<Invocation>(result).command.get());
  EXPECT_NE(command, nullptr);
  return command == nullptr ? T{} : command->options;
}

Leave left(const std::vector<std::string>& args) {
  auto result = parse_arguments(args);
  const auto* leave = std::get_if<Leave>(&result);
  EXPECT_NE(leave, nullptr);
  return leave == nullptr ? Leave{} : *leave;
}

TEST(Options, TakesGlobalFlagsAnywhere) {
  for (const auto& args : {std::vector<std::string>{"-o", "json", "--socket", "/s", "status"},
                           std::vector<std::string>{"status", "-o", "json", "--socket", "/s"}}) {
    const auto result = parse_arguments(args);
    ASSERT_TRUE(std::holds_alternative<Invocation>(result));
    EXPECT_EQ(std::get<Invocation>(result).globals.output, Output::json);
    EXPECT_EQ(std::get<Invocation>(result).globals.socket, "/s");
  }
}

TEST(Options, ReadsEachCommand) {
  EXPECT_TRUE(parsed<StatusOptions>({"status", "-w"}).watch);
  EXPECT_EQ(parsed<StatusOptions>({"status", "web"}).service, "web");
  EXPECT_EQ(parsed<PlanOptions>({"plan", "--rollback", "41"}).to, 41U);
  EXPECT_TRUE(parsed<PlanOptions>({"plan", "--rollback"}).rollback);
  EXPECT_EQ(parsed<PlanOptions>({"plan", "-"}).file, "-");
  const auto apply =
      parsed<ApplyOptions>({"apply", "f.yaml", "--reason", "why", "--timeout", "1m"});
  EXPECT_EQ(apply.file, "f.yaml");
  EXPECT_EQ(apply.reason, "why");
  EXPECT_EQ(apply.wait.timeout, "1m");
  EXPECT_EQ(parsed<RollbackOptions>({"rollback", "--to", "7"}).to, 7U);
  EXPECT_EQ(parsed<RollbackOptions>({"rollback"}).wait.timeout, "5m");
  EXPECT_EQ(parsed<HistoryOptions>({"history", "-n", "3"}).limit, 3U);
  EXPECT_EQ(parsed<DiffOptions>({"diff", "1", "2"}).sides.size(), 2U);
  const auto logs = parsed<LogsOptions>({"logs", "web", "-f", "-n", "20", "--since", "1h"});
  EXPECT_TRUE(logs.follow);
  EXPECT_EQ(logs.tail, 20U);
  EXPECT_FALSE(parsed<LogsOptions>({"logs", "web"}).tail);
  EXPECT_EQ(parsed<EventsOptions>({"events", "--kind", "good,failed"}).kinds.size(), 2U);
  EXPECT_EQ(parsed<LedgerOptions>({"ledger", "export", "--after", "9"}).after, 9U);
  using Image = ImageOptions::Action;
  EXPECT_EQ(parsed<ImageOptions>({"image", "list"}).action, Image::list);
  const auto pull = parsed<ImageOptions>({"image", "pull", "r/x@sha256:ab", "--keep", "7d"});
  EXPECT_EQ(pull.action, Image::pull);
  EXPECT_EQ(pull.reference, "r/x@sha256:ab");
  EXPECT_EQ(pull.keep, "7d");
  const auto verify = parsed<ImageOptions>({"image", "verify", "abcdef", "123456", "--repair"});
  EXPECT_EQ(verify.images.size(), 2U);
  EXPECT_TRUE(verify.repair);
  EXPECT_TRUE(parsed<ImageOptions>({"image", "gc", "--dry-run"}).dry_run);
  const auto out = parsed<ImageOptions>({"image", "export", "abcdef", "-o", "web.tar"});
  EXPECT_EQ(out.action, Image::export_);
  EXPECT_EQ(out.file, "web.tar");
  const auto in = parsed<ImageOptions>({"image", "import", "web.tar", "--reference", "r/x:1"});
  EXPECT_EQ(in.action, Image::import);
  EXPECT_EQ(in.reference, "r/x:1");
  EXPECT_EQ(left({"image", "verify", "--all", "abcdef"}).exit, ExitCode::usage);
  EXPECT_EQ(left({"image"}).exit, ExitCode::usage);
  EXPECT_EQ(parsed<LedgerOptions>({"ledger", "head"}).action, LedgerOptions::Action::head);
  const auto recover = parsed<LedgerOptions>({"ledger", "recover", "--yes", "--reason", "3 am"});
  EXPECT_EQ(recover.action, LedgerOptions::Action::recover);
  EXPECT_TRUE(recover.yes && !recover.dry_run);
  EXPECT_EQ(recover.reason, "3 am");
  EXPECT_TRUE(parsed<LedgerOptions>({"ledger", "recover", "--dry-run"}).dry_run);
  EXPECT_EQ(parsed<LintOptions>({"lint", "a", "b"}).files.size(), 2U);
}

TEST(Options, ReadsWhatKeepsChangesFromHappening) {
  EXPECT_TRUE(parsed<ApplyOptions>({"apply", "f.yaml", "--now"}).now);
  const auto hold = parsed<HoldOptions>({"hold", "--reason", "busy", "--for", "2h"});
  EXPECT_EQ(hold.reason, "busy");
  EXPECT_EQ(hold.end.span, "2h");
  EXPECT_EQ(parsed<ResumeOptions>({"resume", "-m", "over"}).reason, "over");
  using Action = QuarantineOptions::Action;
  EXPECT_EQ(parsed<QuarantineOptions>({"quarantine", "list"}).action, Action::list);
  const auto add = parsed<QuarantineOptions>(
      {"quarantine", "add", "42", "-m", "bad", "--until", "2026-12-01T00:00:00Z"});
  EXPECT_EQ(add.action, Action::add);
  EXPECT_EQ(add.what, "42");
  EXPECT_EQ(add.end.until, "2026-12-01T00:00:00Z");
  const auto release = parsed<QuarantineOptions>({"quarantine", "release", "6fa1c0"});
  EXPECT_EQ(release.action, Action::release);
  EXPECT_EQ(release.what, "6fa1c0");
  for (const auto& args : {std::vector<std::string>{"hold"},
                           {"hold", "-m", "x", "--for", "1h", "--until", "2026-12-01T00:00:00Z"},
                           {"quarantine"},
                           {"quarantine", "add", "42"},
                           {"quarantine", "release"}})
    EXPECT_EQ(left(args).exit, ExitCode::usage);
}

TEST(Options, ReadsWhatKeepsTheWayBackReady) {
  EXPECT_EQ(parsed<RehearseOptions>({"rehearse"}).generation, 0U);
  const auto rehearse = parsed<RehearseOptions>({"rehearse", "41", "-m", "weekend", "--no-wait"});
  EXPECT_EQ(rehearse.generation, 41U);
  EXPECT_EQ(rehearse.reason, "weekend");
  EXPECT_TRUE(rehearse.wait.no_wait);
  using Action = StandbyOptions::Action;
  EXPECT_EQ(parsed<StandbyOptions>({"standby", "list"}).action, Action::list);
  const auto drop = parsed<StandbyOptions>({"standby", "drop", "-m", "memory"});
  EXPECT_EQ(drop.action, Action::drop);
  EXPECT_EQ(drop.reason, "memory");
  for (const auto& args :
       {std::vector<std::string>{"standby"}, {"rehearse", "0"}, {"rehearse", "x"}})
    EXPECT_EQ(left(args).exit, ExitCode::usage);
}

TEST(Options, EndsUsageErrorsWith2AndTheNextStep) {
  for (const auto& args : {std::vector<std::string>{},
                           {"apply"},
                           {"diff", "1", "2", "3"},
                           {"history", "-n", "x"},
                           {"status", "-o", "xml"},
                           {"ledger"},
                           {"rollback", "--to", "-1"},
                           {"logs"},
                           {"completion", "tcsh"}}) {
    const auto leave = left(args);
    EXPECT_EQ(leave.exit, ExitCode::usage);
    EXPECT_FALSE(leave.err.empty());
  }
  const auto slip = left({"apply", "f", "--reson", "x"});
  EXPECT_NE(slip.err.find("did you mean: --reason"), std::string::npos) << slip.err;
  EXPECT_NE(slip.err.find("next: holdfast apply --help"), std::string::npos) << slip.err;
  const auto below = left({"ledger", "verfy"});
  EXPECT_NE(below.err.find("did you mean: holdfast ledger verify"), std::string::npos) << below.err;
}

/// The help of a command and of those below it: `path` names it.
void check_help(const CommandInfo& command, std::vector<std::string> path) {
  const auto name = fmt::format("{}", fmt::join(path, " "));
  path.emplace_back("--help");
  const auto leave = left(path);
  path.pop_back();
  EXPECT_EQ(leave.exit, ExitCode::done);
  EXPECT_NE(
      leave.out.find(fmt::format("Usage: holdfast {}{}[OPTIONS]", name, path.empty() ? "" : " ")),
      std::string::npos)
      << leave.out;
  EXPECT_TRUE(path.empty() || leave.out.find("Examples:\n  ") != std::string::npos) << name;
  for (const auto line : split(leave.out, '\n')) EXPECT_LE(line.size(), 80U) << line;
  EXPECT_FALSE(command.description.empty()) << name;
  for (const auto& below : command.commands) {
    path.push_back(below.name);
    check_help(below, path);
    path.pop_back();
  }
}

TEST(Options, GivesEveryCommandHelpWithExamplesIn80Columns) {
  const auto tree = command_tree();
  EXPECT_GE(tree.commands.size(), 16U);
  check_help(tree, {});
}

TEST(Completion, OffersEveryCommandAndFlagInEveryShell) {
  const auto tree = command_tree();
  for (const auto& script : {bash_completion(tree), zsh_completion(tree), fish_completion(tree)}) {
    for (const auto& command : tree.commands)
      EXPECT_NE(script.find(command.name), std::string::npos) << command.name;
    EXPECT_NE(script.find("no-wait"), std::string::npos);
    EXPECT_EQ(script.find("__complete\n"), std::string::npos);
  }
}

TEST(Manual, HasEveryCommandWithItsOptionsAndExamples) {
  const auto tree = command_tree();
  const auto page = manual_page(tree);
  for (const auto& command : tree.commands) {
    EXPECT_NE(page.find(".SS holdfast " + command.name), std::string::npos) << command.name;
    EXPECT_NE(command.footer.find("Examples:"), std::string::npos) << command.name;
  }
  EXPECT_NE(page.find("\\fB\\-\\-timeout\\fR \\fITIME\\fR"), std::string::npos);
  EXPECT_NE(page.find("\\fB\\-\\-output\\fR \\fItable|json\\fR\n"), std::string::npos);
  EXPECT_NE(page.find("7 agent unreachable"), std::string::npos);
  EXPECT_EQ(page.find("__"), std::string::npos) << "what is hidden";
}

TEST(Manual, WritesWhatRoffWouldTakeForAnOrder) {
  CommandInfo command{"one", "a\\b\n.SH no", {}, {}, {}, "'quoted' -x"};
  const auto page = manual_page({"holdfast", "", {}, {}, {command}, {}});
  EXPECT_NE(page.find("a\\eb\n\\&.SH no"), std::string::npos);
  EXPECT_NE(page.find("\\&'quoted' \\-x"), std::string::npos);
}

TEST(Completion, NeverOffersAWordThatAShellCouldRun) {
  EXPECT_EQ(completion_word("web-1"), "web-1\n");
  EXPECT_EQ(completion_word("$(reboot)"), "");
  EXPECT_EQ(completion_word("a b"), "");
  EXPECT_EQ(completion_word(""), "");
}

}  // namespace
}  // namespace holdfast::agent::cli
