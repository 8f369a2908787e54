#include "agent/daemon/metrics_page.hpp"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <sstream>

#include "common/base/text.hpp"

namespace holdfast::agent::daemon {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;

prometheus::MetricType type_of(MetricType type) {
  switch (type) {
    case MetricType::gauge:
      return prometheus::MetricType::Gauge;
    case MetricType::counter:
      return prometheus::MetricType::Counter;
    case MetricType::histogram:
      return prometheus::MetricType::Histogram;
  }
  return prometheus::MetricType::Untyped;
}

}  // namespace

MetricsPage::MetricsPage() : families_(std::make_unique<std::vector<MetricFamily>>()) {}
MetricsPage::~MetricsPage() = default;

MetricsPage& MetricsPage::of(MetricName name) {
  const auto& row = name.row();
  families_->push_back({std::string{row.name}, std::string{row.help}, type_of(row.type), {}});
  return *this;
}

ClientMetric& MetricsPage::metric(MetricLabels labels) {
  auto& made = families_->back().metric.emplace_back();
  made.label.reserve(labels.size() + 1);
  for (const auto& [name, value] : labels)
    made.label.push_back({std::string{name}, well_formed(value)});
  return made;
}

void MetricsPage::set(ClientMetric& metric, double value) const {
  (families_->back().type == prometheus::MetricType::Counter ? metric.counter.value
                                                             : metric.gauge.value) = value;
}

MetricsPage& MetricsPage::sample(double value, MetricLabels labels) {
  set(metric(labels), value);
  return *this;
}

MetricsPage& MetricsPage::sample(const deploy::engine::Histogram& value, MetricLabels labels) {
  auto& made = metric(labels).histogram;
  made.sample_sum = value.sum;
  for (std::size_t i = 0; i < value.counts.size(); ++i) {
    made.sample_count += value.counts[i];
    if (i < value.bounds.size()) made.bucket.push_back({made.sample_count, value.bounds[i]});
  }
  return *this;
}

MetricsPage& MetricsPage::samples(std::string_view label,
                                  const std::map<std::string, std::uint64_t>& values) {
  for (const auto& [key, value] : values) sample(static_cast<double>(value), {{label, key}});
  return *this;
}

MetricsPage& MetricsPage::samples(std::string_view label,
                                  const std::map<std::string, double>& values) {
  for (const auto& [key, value] : values) sample(value, {{label, key}});
  return *this;
}

MetricsPage& MetricsPage::one_of(std::string_view label, std::span<const std::string_view> known,
                                 std::string_view actual, MetricLabels labels) {
  for (const auto value : known) {
    auto& made = metric(labels);
    made.label.push_back({std::string{label}, std::string{value}});
    set(made, value == actual ? 1 : 0);
  }
  return *this;
}

std::string MetricsPage::text() const {
  std::ostringstream out;
  prometheus::TextSerializer{}.Serialize(out, *families_);
  return std::move(out).str();
}

}  // namespace holdfast::agent::daemon
