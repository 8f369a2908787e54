#pragma once
/// \file
/// Families of metrics in the making; hides prometheus-cpp from those who fill them.

#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "deploy/engine/snapshot.hpp"

namespace holdfast::agent::daemon {

using MetricLabels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

class MetricsPage {
 public:
  MetricsPage();
  ~MetricsPage();

  /// Begins a family; the samples that follow belong to it. `help` holds no newline: prometheus-cpp
  /// does not escape it.
  MetricsPage& gauge(std::string name, std::string help);
  MetricsPage& counter(std::string name, std::string help);
  MetricsPage& histogram(std::string name, std::string help);

  MetricsPage& sample(double value, MetricLabels labels = {});
  MetricsPage& sample(const deploy::engine::Histogram& value, MetricLabels labels = {});
  /// One sample for each entry, with its key as `label`.
  MetricsPage& samples(std::string_view label, const std::map<std::string, std::uint64_t>& values);
  MetricsPage& samples(std::string_view label, const std::map<std::string, double>& values);
  /// 1 for `actual`, 0 for the other known values: a state as a set of series.
  MetricsPage& one_of(std::string_view label, std::initializer_list<std::string_view> known,
                      std::string_view actual, MetricLabels labels = {});

  [[nodiscard]] std::string text() const;

 private:
  struct Families;
  std::unique_ptr<Families> families_;
};

/// process_*: of this process, from /proc/self.
void add_process_metrics(MetricsPage& page);

}  // namespace holdfast::agent::daemon
