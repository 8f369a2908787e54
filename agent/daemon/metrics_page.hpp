#pragma once
/// \file
/// Families of metrics in the making (prometheus::MetricFamily).

#include <initializer_list>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/daemon/metrics_table.hpp"
#include "deploy/engine/snapshot.hpp"

namespace prometheus {
struct ClientMetric;
struct MetricFamily;
}  // namespace prometheus

namespace holdfast::agent::daemon {

using MetricLabels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

class MetricsPage {
 public:
  MetricsPage();
  ~MetricsPage();

  /// Begins the family of a row; the samples that follow belong to it and have its labels.
  MetricsPage& of(MetricName name);

  MetricsPage& sample(double value, MetricLabels labels = {});
  MetricsPage& sample(const deploy::engine::Histogram& value, MetricLabels labels = {});
  /// One sample for each entry, with its key as `label`.
  MetricsPage& samples(std::string_view label, const std::map<std::string, std::uint64_t>& values);
  MetricsPage& samples(std::string_view label, const std::map<std::string, double>& values);
  /// 1 for the word that it is, 0 for all others: a state as a set of series, complete from the
  /// start.
  template <class E>
  MetricsPage& one_of(std::string_view label, proto::Word<E> actual, MetricLabels labels = {}) {
    return one_of(label, proto::Words<E>::kAll, actual.text(), labels);
  }
  /// 1 for `actual`, 0 for the other known values: a state as a set of series.
  MetricsPage& one_of(std::string_view label, std::span<const std::string_view> known,
                      std::string_view actual, MetricLabels labels = {});

  /// In the text format of Prometheus (exposition format 0.0.4).
  [[nodiscard]] std::string text() const;

 private:
  prometheus::ClientMetric& metric(MetricLabels labels);
  void set(prometheus::ClientMetric& metric, double value) const;

  std::unique_ptr<std::vector<prometheus::MetricFamily>> families_;
};

/// process_*: of this process, from /proc/self.
void add_process_metrics(MetricsPage& page);

}  // namespace holdfast::agent::daemon
