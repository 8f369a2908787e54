#include "agent/cli/author/frame.hpp"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "common/base/text.hpp"
#include "proto/deployment/deployment.hpp"

namespace holdfast::agent::cli {
namespace {

using Line = std::pair<std::string_view, std::string>;

/// Of a document as a person would check it: its lines without line ends, the last one perhaps
/// empty.
std::string with_lines(std::string_view yaml, const std::array<Line, 3>& lines) {
  std::array<bool, 3> written{};
  std::string out;
  for (const auto line : split(yaml, '\n')) {
    bool replaced = false;
    for (std::size_t i = 0; i < lines.size(); ++i) {
      if (!line.starts_with(lines[i].first) || !line.substr(lines[i].first.size()).starts_with(':'))
        continue;
      out += lines[i].second + "\n";
      replaced = written[i] = true;
    }
    if (!replaced) out.append(line).append("\n");
  }
  out.pop_back();  // the text after the last line end got one too many
  if (!out.ends_with('\n')) out += '\n';
  for (std::size_t i = 0; i < lines.size(); ++i)
    if (!written[i]) out += lines[i].second + "\n";
  return out;
}

}  // namespace

Result<std::string> framed(std::string_view yaml, const Frame& frame) {
  HF_ASSIGN(const auto before, proto::load_deployment(yaml, "the document"));
  const auto time = [](WallTime at) { return to_rfc3339(at); };
  auto text = with_lines(yaml, {{{"serial", fmt::format("serial: {}", frame.serial)},
                                 {"issued", "issued: " + time(frame.issued)},
                                 {"expires", "expires: " + time(frame.expires)}}});
  const auto after = proto::load_deployment(text, "the document with its serial");
  const bool as_meant = after && after->spec_digest == before.spec_digest &&
                        after->serial == frame.serial && after->issued == frame.issued &&
                        after->expires == frame.expires;
  if (as_meant) return text;
  auto why = after ? Error{Errc::spec_parse, "serial, issued and expires cannot be written into it"}
                   : after.error();
  return std::move(why).hint(
      "write the document in block style, and its serial, issued and expires "
      "each on a line of its own at the top level");
}

}  // namespace holdfast::agent::cli
