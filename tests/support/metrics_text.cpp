#include "tests/support/metrics_text.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "agent/daemon/metrics_table.hpp"
#include "common/base/text.hpp"

namespace holdfast::test {
namespace {

/// A quoted value, from behind its first quote; leaves `text` behind the last.
std::string take_value(std::string_view& text) {
  std::string value;
  for (; !text.empty() && text.front() != '"'; text.remove_prefix(1)) {
    if (text.front() == '\\') text.remove_prefix(1);
    value += text.front();
  }
  if (text.empty()) {
    ADD_FAILURE() << "a label value without an end: " << value;
  } else {
    text.remove_prefix(1);
  }
  return value;
}

MetricSample read_sample(std::string_view line) {
  MetricSample sample;
  auto rest = line.substr(std::min(line.size(), line.find_first_of("{ ")));
  if (rest.starts_with('{')) {
    rest.remove_prefix(1);
    while (!rest.empty() && rest.front() != '}') {
      const auto equals = rest.find("=\"");
      if (equals == std::string_view::npos) break;
      std::string name{rest.substr(0, equals)};
      rest.remove_prefix(equals + 2);
      auto value = take_value(rest);
      if (name != "le") sample.labels.emplace_back(std::move(name), std::move(value));
      if (rest.starts_with(',')) rest.remove_prefix(1);
    }
    if (!rest.empty()) rest.remove_prefix(1);
  }
  const std::string number{trim(rest)};
  char* end = nullptr;
  sample.value = std::strtod(number.c_str(), &end);
  EXPECT_TRUE(!number.empty() && *end == '\0') << "no number at the end of: " << line;
  return sample;
}

std::string labels_of(const MetricSample& sample) {
  std::string names;
  for (const auto& [name, value] : sample.labels) names += (names.empty() ? "" : " ") + name;
  return names;
}

}  // namespace

std::vector<MetricFamilyText> read_metrics(std::string_view page) {
  std::vector<MetricFamilyText> families;
  constexpr std::string_view kHelp = "# HELP ";
  constexpr std::string_view kType = "# TYPE ";
  for (const auto line : split(page, '\n')) {
    if (line.empty()) continue;
    if (line.starts_with(kHelp)) {
      const auto text = line.substr(kHelp.size());
      const auto blank = text.find(' ');
      families.push_back(
          {std::string{text.substr(0, blank)}, "", std::string{text.substr(blank + 1)}, {}});
      continue;
    }
    if (families.empty()) {
      ADD_FAILURE() << "before the first HELP: " << line;
      continue;
    }
    auto& family = families.back();
    if (line.starts_with(kType)) {
      const auto text = line.substr(kType.size());
      EXPECT_TRUE(text.starts_with(family.name + " ")) << line;
      family.type = text.substr(text.find(' ') + 1);
    } else {
      EXPECT_TRUE(line.starts_with(family.name)) << line << " is not of " << family.name;
      family.samples.push_back(read_sample(line));
    }
  }
  return families;
}

std::vector<std::string> unlike_the_table(const std::vector<MetricFamilyText>& page) {
  std::vector<std::string> faults;
  std::map<std::string_view, const agent::daemon::MetricRow*> rows;
  for (const auto& row : agent::daemon::kMetrics)
    if (!rows.emplace(row.name, &row).second)
      faults.push_back(fmt::format("{}: two rows", row.name));
  for (const auto& family : page) {
    const auto found = rows.find(family.name);
    if (found == rows.end()) {
      faults.push_back(family.name + ": no row, or served twice");
      continue;
    }
    const auto& row = *found->second;
    if (family.type != to_string(row.type) || family.help != row.help)
      faults.push_back(family.name + ": another type or help");
    for (const auto& sample : family.samples)
      if (labels_of(sample) != row.labels)
        faults.push_back(fmt::format("{}: labels \"{}\", not \"{}\"", family.name,
                                     labels_of(sample), row.labels));
    rows.erase(found);
  }
  for (const auto& [name, row] : rows) faults.push_back(fmt::format("{}: not served", name));
  return faults;
}

}  // namespace holdfast::test
