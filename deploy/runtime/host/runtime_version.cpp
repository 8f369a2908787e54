#include "deploy/runtime/host/runtime_version.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "common/base/text.hpp"

namespace holdfast::deploy::runtime {
namespace {

/// Mended in these versions of their lines (major, minor), and in all later lines.
struct Vulnerability {
  std::string_view runtime;
  std::string_view name;
  std::vector<RuntimeVersion> mended;
};

/// From the advisories of opencontainers/runc and containers/crun.
const std::vector<Vulnerability>& vulnerabilities() {
  static const std::vector<Vulnerability> all{
      {"runc", "CVE-2024-21626", {{1, 1, 12}}},
      {"runc", "CVE-2025-31133", {{1, 2, 8}, {1, 3, 3}, {1, 4, 0}}},
      {"runc", "CVE-2025-52565", {{1, 2, 8}, {1, 3, 3}, {1, 4, 0}}},
      {"runc", "CVE-2025-52881", {{1, 2, 8}, {1, 3, 3}, {1, 4, 0}}},
      {"runc", "CVE-2026-41579", {{1, 3, 6}, {1, 4, 3}, {1, 5, 0}}}};
  return all;
}

bool has(const Vulnerability& vulnerability, const RuntimeVersion& version) {
  const auto line_of = [](const RuntimeVersion& each) { return std::pair{each[0], each[1]}; };
  const auto same =
      std::find_if(vulnerability.mended.begin(), vulnerability.mended.end(),
                   [&](const RuntimeVersion& each) { return line_of(each) == line_of(version); });
  if (same != vulnerability.mended.end()) return version < *same;
  return line_of(version) < line_of(vulnerability.mended.back());
}

std::string text_of(const RuntimeVersion& version) {
  return fmt::format("{}", fmt::join(version, "."));
}

}  // namespace

std::optional<RuntimeVersion> runtime_version(std::string_view text) {
  const auto begin = text.find_first_of("0123456789");
  if (begin == std::string_view::npos) return std::nullopt;
  const auto end = text.find_first_not_of("0123456789.", begin);
  RuntimeVersion version{};
  std::size_t at = 0;
  for (const auto part : split(text.substr(begin, end - begin), '.')) {
    const auto number = parse_number(part);
    if (!number || at == version.size()) break;
    version[at++] = *number;
  }
  return version;
}

std::vector<std::string> known_vulnerabilities(std::string_view version) {
  std::vector<std::string> out;
  const auto number = runtime_version(version);
  if (!number) return out;
  for (const auto& each : vulnerabilities())
    if (version.starts_with(each.runtime) && has(each, *number))
      out.push_back(fmt::format("{} (mended in {})", each.name, text_of(each.mended.front())));
  return out;
}

}  // namespace holdfast::deploy::runtime
