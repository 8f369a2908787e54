#include "agent/cli/commands/context.hpp"

#include <fmt/format.h>

#include <cstdio>

#include "agent/cli/render/json_text.hpp"

namespace holdfast::agent::cli {
namespace {

constexpr std::string_view kIndent = "  ";

void write(std::FILE* stream, std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stream);
  std::fflush(stream);
}

void write_error(const Context& context, std::string_view what, std::string_view next) {
  auto text = paint("error:", Tone::act, context.err) + " " + printable_lines(what, kIndent) + "\n";
  if (!next.empty())
    text += fmt::format("{}next: {}\n", kIndent, printable_lines(next, "        "));
  write(stderr, text);
}

}  // namespace

void print(std::string_view text) { write(stdout, text); }

void say(const Context& context, std::string_view text) {
  if (!context.globals.quiet) write(stderr, text);
}

ExitCode report(const Context& context, const Error& error) {
  write_error(context, error.what(), error.next_step());
  return exit_code_of(error.code());
}

void report(const Context& context, const proto::api::ErrorBody& error) {
  write_error(context, error.message, error.next);
}

ExitCode print_json(const Context& context, std::string_view json) {
  const auto text = pretty_json(json);
  if (!text) return report(context, text.error());
  print(*text);
  return ExitCode::done;
}

}  // namespace holdfast::agent::cli
