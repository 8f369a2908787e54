#pragma once
/// \file
/// What was asked for on the command line, and the tree of commands that completions and help are
/// made from.

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "agent/cli/exit_code.hpp"

namespace holdfast::agent::cli {

enum class Output : std::uint8_t { table, json };

struct Globals {
  std::string socket;
  Output output = Output::table;
  bool no_color = false;
  bool quiet = false;
};

struct StatusOptions {
  std::string service;
  bool watch = false;
};
struct PlanOptions {
  std::string file;
  bool now = false;
  bool rollback = false;
  std::uint64_t to = 0;
  bool exit_code = false;  ///< 6 when there are changes
};
/// How `apply` and `rollback` wait for the end.
struct WaitOptions {
  bool no_wait = false;
  std::string timeout = "5m";
};
struct ApplyOptions {
  std::string file;
  std::string reason;
  bool dry_run = false;
  bool now = false;
  WaitOptions wait;
};
struct RollbackOptions {
  std::uint64_t to = 0;
  std::string reason;
  bool dry_run = false;
  WaitOptions wait;
};
/// When something ends by itself: at most one of the two.
struct EndOptions {
  std::string until;  ///< RFC 3339
  std::string span;   ///< from now
};
struct HoldOptions {
  std::string reason;
  EndOptions end;
};
struct ResumeOptions {
  std::string reason;
};
struct RehearseOptions {
  std::uint64_t generation = 0;  ///< 0: what a rollback would choose
  std::string reason;
  WaitOptions wait;
};
struct StandbyOptions {
  enum class Action : std::uint8_t { list, drop } action = Action::list;
  std::string reason;
};
struct QuarantineOptions {
  enum class Action : std::uint8_t { list, add, release } action = Action::list;
  std::string what;
  std::string reason;
  EndOptions end;
};
struct HistoryOptions {
  std::uint64_t limit = 0;  ///< 0: all
};
struct ShowOptions {
  std::string what;
  bool document = false;  ///< only the YAML
};
struct DiffOptions {
  std::vector<std::string> sides;
  bool exit_code = false;
};
struct DriftOptions {
  std::string service;
};
struct LogsOptions {
  std::string service;
  bool follow = false;
  bool times = false;
  std::string since;
  std::optional<std::uint64_t> tail;
};
struct EventsOptions {
  bool follow = false;
  std::string since;
  std::vector<std::string> kinds;
};
struct LedgerOptions {
  enum class Action : std::uint8_t { verify, head, export_all, recover } action = Action::verify;
  std::uint64_t after = 0;
  bool dry_run = false;
  bool yes = false;
  std::string reason;
};
struct DoctorOptions {
  std::string config;
};
struct SchemaOptions {};
struct LintOptions {
  std::vector<std::string> files;
};
struct ImageOptions {
  enum class Action : std::uint8_t {
    list,
    pull,
    verify,
    gc,
    export_,
    import
  } action = Action::list;
  std::string reference;            ///< pull, export; import: the name to remember
  std::string keep;                 ///< pull, import: span; empty: the agent's default
  std::vector<std::string> images;  ///< verify; empty: all
  bool all = false;
  bool repair = false;
  bool dry_run = false;  ///< gc
  std::string file;      ///< export, import
};
struct VersionOptions {};
struct CompletionOptions {
  std::string shell;
};
/// Hidden: words for the shell, asked of the agent.
struct CompleteOptions {
  std::string what;  ///< services | generations | good-generations | images
};

using CommandOptions =
    std::variant<StatusOptions, PlanOptions, ApplyOptions, RollbackOptions, HoldOptions,
                 ResumeOptions, QuarantineOptions, RehearseOptions, StandbyOptions, HistoryOptions,
                 ShowOptions, DiffOptions, DriftOptions, LogsOptions, EventsOptions, LedgerOptions,
                 DoctorOptions, SchemaOptions, LintOptions, VersionOptions, CompletionOptions,
                 CompleteOptions, ImageOptions>;

struct Invocation {
  Globals globals;
  CommandOptions command;
};

/// Help, or a usage error: print and leave.
struct Leave {
  ExitCode exit = ExitCode::done;
  std::string out;
  std::string err;
};

/// Reads the command line; never throws. HOLDFAST_SOCKET and HOLDFAST_OUTPUT are the defaults of
/// their flags.
[[nodiscard]] std::variant<Invocation, Leave> parse_arguments(const std::vector<std::string>& args);

struct OptionInfo {
  std::vector<std::string> names;  ///< "-o", "--output"
  std::string description;
  bool takes_value = false;
  std::vector<std::string> choices;
};

/// A command with its options and sub-commands, as CLI11 knows it.
struct CommandInfo {
  std::string name;
  std::string description;
  std::vector<OptionInfo> options;
  std::string positional;  ///< "SERVICE", "FILE", "GENERATION"…; empty: none
  std::vector<CommandInfo> commands;
};
[[nodiscard]] CommandInfo command_tree();

}  // namespace holdfast::agent::cli
