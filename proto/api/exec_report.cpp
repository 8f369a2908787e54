#include "proto/api/exec_report.hpp"

#include <algorithm>

#include "common/base/text.hpp"

namespace holdfast::proto::api {

std::string exec_report_line(const ExecReport& report) {
  auto line = std::string{word_of(report.stop)}.append(" ").append(std::to_string(report.code));
  if (!report.error.empty()) line.append(" ").append(report.error);
  return line.append("\n");
}

std::optional<ExecReport> exec_report_of(std::string_view line) {
  constexpr std::uint64_t kMostCode = 255;
  if (!line.ends_with('\n') || line.size() > kMostOfExecReport) return std::nullopt;
  line.remove_suffix(1);
  const auto words = split(line, ' ');
  if (words.size() < 2 || words.size() > 3) return std::nullopt;
  constexpr const auto& kAll = Words<ExecStop>::kAll;
  const auto* const stop = std::find(kAll.begin(), kAll.end(), words[0]);
  const auto code = parse_number(words[1]);
  if (stop == kAll.end() || !code || *code > kMostCode) return std::nullopt;
  return ExecReport{.stop = static_cast<ExecStop>(stop - kAll.begin()),
                    .code = static_cast<std::uint8_t>(*code),
                    .error = words.size() == 3 ? std::string{words[2]} : std::string{}};
}

}  // namespace holdfast::proto::api
