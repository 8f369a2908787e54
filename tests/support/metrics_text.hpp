#pragma once
/// \file
/// A page of metrics, read back.

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast::test {

struct MetricSample {
  std::vector<std::pair<std::string, std::string>> labels;  ///< as they stand, without `le`
  double value = 0;
};
struct MetricFamilyText {
  std::string name;
  std::string type;
  std::string help;
  std::vector<MetricSample> samples;  ///< those of _bucket, _sum and _count as well
};

/// Reads the text format of Prometheus. What it does not understand fails the test.
[[nodiscard]] std::vector<MetricFamilyText> read_metrics(std::string_view page);

/// What of a page does not fit its rows in metrics_table.hpp: a family without a row, a row without
/// a family, another type, help or set of labels; one line each.
[[nodiscard]] std::vector<std::string> unlike_the_table(const std::vector<MetricFamilyText>& page);

}  // namespace holdfast::test
