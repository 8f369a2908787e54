#include "proto/api/exec_report.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "common/base/text.hpp"

namespace holdfast::proto::api {
namespace {

constexpr std::array<std::pair<ExecStop, std::string_view>, 7> kWords{
    {{ExecStop::exited, "exited"},
     {ExecStop::told, "told"},
     {ExecStop::not_started, "not_started"},
     {ExecStop::client_gone, "client_gone"},
     {ExecStop::slow_client, "slow_client"},
     {ExecStop::bad_frame, "bad_frame"},
     {ExecStop::idle, "idle"}}};
constexpr std::uint64_t kMostCode = 255;

}  // namespace

std::string exec_report_line(const ExecReport& report) {
  const auto* const row = std::find_if(
      kWords.begin(), kWords.end(), [&](const auto& known) { return known.first == report.stop; });
  auto line = std::string{row->second}.append(" ").append(std::to_string(report.code));
  if (!report.error.empty()) line.append(" ").append(report.error);
  return line.append("\n");
}

std::optional<ExecReport> exec_report_of(std::string_view line) {
  if (!line.ends_with('\n') || line.size() > kMostOfExecReport) return std::nullopt;
  line.remove_suffix(1);
  const auto words = split(line, ' ');
  const auto* const row = std::find_if(kWords.begin(), kWords.end(),
                                       [&](const auto& known) { return known.second == words[0]; });
  if (row == kWords.end() || words.size() < 2 || words.size() > 3) return std::nullopt;
  const auto code = parse_number(words[1]);
  if (!code || *code > kMostCode) return std::nullopt;
  return ExecReport{.stop = row->first,
                    .code = static_cast<std::uint8_t>(*code),
                    .error = words.size() == 3 ? std::string{words[2]} : std::string{}};
}

}  // namespace holdfast::proto::api
