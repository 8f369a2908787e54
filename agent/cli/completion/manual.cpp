#include "agent/cli/completion/manual.hpp"

#include <fmt/format.h>

namespace holdfast::agent::cli {
namespace {

/// As roff prints it unchanged (groff_man(7)): a dash stays one that can be copied.
std::string roff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool begins = out.empty() || out.back() == '\n';
    if (begins && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  return out;
}

void add_options(std::string& page, const CommandInfo& command) {
  for (const auto& option : command.options) {
    std::string names;
    for (const auto& name : option.names)
      names += fmt::format("{}\\fB{}\\fR", names.empty() ? "" : ", ", roff(name));
    if (!option.value.empty()) names += fmt::format(" \\fI{}\\fR", roff(option.value));
    page += fmt::format(".TP\n{}\n{}\n", names, roff(option.description));
  }
}

void add_as_it_is(std::string& page, const std::string& text) {
  if (!text.empty()) page += fmt::format(".PP\n.nf\n{}\n.fi\n", roff(text));
}

void add_command(std::string& page, const CommandInfo& command, const std::string& before) {
  const auto name = before + " " + command.name;
  page += fmt::format(".SS {}{}{}\n{}\n", roff(name), command.positional.empty() ? "" : " ",
                      roff(command.positional), roff(command.description));
  add_options(page, command);
  add_as_it_is(page, command.footer);
  for (const auto& each : command.commands) add_command(page, each, name);
}

}  // namespace

std::string manual_page(const CommandInfo& tree) {
  std::string page = fmt::format(
      ".TH HOLDFAST 1 \"\" \"holdfast {0}\" \"User Commands\"\n"
      ".SH NAME\nholdfast \\- {1}\n"
      ".SH SYNOPSIS\n.B holdfast\n[\\fIOPTIONS\\fR] \\fICOMMAND\\fR\n"
      ".SH DESCRIPTION\nAsks the agent of this host, holdfastd(8), over its socket and shows the "
      "answer.\n"
      ".SH OPTIONS\n",
      HOLDFAST_VERSION, roff(tree.description));
  add_options(page, tree);
  page += ".SH COMMANDS\n";
  for (const auto& command : tree.commands) add_command(page, command, tree.name);
  page += ".SH EXIT STATUS\n";
  add_as_it_is(page, tree.footer);
  page +=
      ".SH ENVIRONMENT\n"
      ".TP\n.B HOLDFAST_SOCKET\nThe socket of the agent.\n"
      ".TP\n.B HOLDFAST_OUTPUT\njson: as with \\fB\\-o json\\fR.\n"
      ".TP\n.B NO_COLOR\nNo colours.\n"
      ".SH SEE ALSO\n.BR holdfastd (8)\n";
  return page;
}

}  // namespace holdfast::agent::cli
