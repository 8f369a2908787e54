#include "agent/cli/commands/register.hpp"

#include <CLI/CLI.hpp>

#include "agent/cli/render/when.hpp"
#include "common/base/text.hpp"

namespace holdfast::agent::cli {

CLI::App* subcommand(CLI::App& app, const char* name, const char* description,
                     const char* examples) {
  auto* sub = app.add_subcommand(name, description);
  sub->footer(std::string{"Examples:\n"} + examples);
  return sub;
}

void wait_options(CLI::App* sub, WaitOptions& wait) {
  sub->add_flag("--no-wait", wait.no_wait, "Return as soon as the agent has accepted it");
  sub->add_option("--timeout", wait.timeout, "Maximum wait; the rollout continues")
      ->type_name("TIME")
      ->capture_default_str();
}

void end_options(CLI::App* sub, EndOptions& end) {
  auto* until = sub->add_option("--until", end.until, "Ends by itself then: 2026-12-01T09:00:00Z")
                    ->type_name("TIME");
  sub->add_option("--for", end.span, "Ends by itself after this time: 2h, 30m, 1d")
      ->type_name("SPAN")
      ->excludes(until);
}

Result<std::string> end_of(const EndOptions& end, WallTime now) {
  if (!end.span.empty()) {
    HF_ASSIGN(const auto span, parse_span(end.span));
    return to_rfc3339(now + span);
  }
  if (end.until.empty()) return std::string{};
  auto time = parse_rfc3339(end.until);
  if (!time)
    return Error{Errc::usage, fmt::format("\"{}\" is not a time", printable(end.until))}.hint(
        "write it like 2026-12-01T09:00:00Z, or use --for 2h");
  return to_rfc3339(*time);
}

std::string whole(const std::string& text) {
  const auto number = parse_number(text);
  return number && *number > 0 ? std::string{} : "\"" + text + "\" is not a number from 1 on";
}

std::string natural(const std::string& text) {
  return parse_number(text) ? std::string{} : "\"" + text + "\" is not a number";
}

}  // namespace holdfast::agent::cli
