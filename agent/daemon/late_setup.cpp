#include "agent/daemon/late_setup.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/log/log.hpp"

namespace holdfast::agent::daemon {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kAll{
    {{LateSetup::kMetrics, "metrics are not served"},
     {LateSetup::kGroups, "a role has no group yet"},
     {LateSetup::kToken, "metrics are given to nobody over the network"}}};

std::string_view words_for(std::string_view what) {
  const auto* const row = std::find_if(kAll.begin(), kAll.end(),
                                       [&](const auto& known) { return known.first == what; });
  return row == kAll.end() ? what : row->second;
}

}  // namespace

void LateSetup::lacks(std::string_view what, const Error& why) {
  const auto text = fmt::format("{}: {}", words_for(what), why.to_string());
  auto& known = missing_[std::string{what}];
  if (known == text) return;
  known = text;
  log::error("event=setup_incomplete what={} error={}", what, log::field(why.to_string()));
}

void LateSetup::has(std::string_view what) {
  const auto found = missing_.find(what);
  if (found == missing_.end()) return;
  missing_.erase(found);
  log::info("event=setup_completed what={}", what);
}

bool LateSetup::is_missing(std::string_view what) const { return missing_.contains(what); }

std::vector<std::string> LateSetup::texts() const {
  std::vector<std::string> all;
  for (const auto& [what, text] : missing_) all.push_back(text);
  return all;
}

std::map<std::string, double> LateSetup::gauges() const {
  std::map<std::string, double> all;
  for (const auto& [what, words] : kAll) all[std::string{what}] = is_missing(what) ? 1 : 0;
  return all;
}

}  // namespace holdfast::agent::daemon
