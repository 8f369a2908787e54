#include "agent/daemon/metrics_page.hpp"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <limits>
#include <vector>

namespace holdfast::agent::daemon {
namespace {

prometheus::ClientMetric labelled(MetricLabels labels) {
  prometheus::ClientMetric metric;
  for (const auto& [name, value] : labels)
    metric.label.push_back({std::string{name}, std::string{value}});
  return metric;
}

}  // namespace

struct MetricsPage::Families {
  std::vector<prometheus::MetricFamily> all;

  void begin(std::string name, std::string help, prometheus::MetricType type) {
    auto& family = all.emplace_back();
    family.name = std::move(name);
    family.help = std::move(help);
    family.type = type;
  }
  void add(double value, prometheus::ClientMetric metric) {
    auto& family = all.back();
    (family.type == prometheus::MetricType::Counter ? metric.counter.value : metric.gauge.value) =
        value;
    family.metric.push_back(std::move(metric));
  }
};

MetricsPage::MetricsPage() : families_(std::make_unique<Families>()) {}
MetricsPage::~MetricsPage() = default;

MetricsPage& MetricsPage::gauge(std::string name, std::string help) {
  families_->begin(std::move(name), std::move(help), prometheus::MetricType::Gauge);
  return *this;
}
MetricsPage& MetricsPage::counter(std::string name, std::string help) {
  families_->begin(std::move(name), std::move(help), prometheus::MetricType::Counter);
  return *this;
}
MetricsPage& MetricsPage::histogram(std::string name, std::string help) {
  families_->begin(std::move(name), std::move(help), prometheus::MetricType::Histogram);
  return *this;
}

MetricsPage& MetricsPage::sample(double value, MetricLabels labels) {
  families_->add(value, labelled(labels));
  return *this;
}

MetricsPage& MetricsPage::sample(const deploy::engine::Histogram& value, MetricLabels labels) {
  auto metric = labelled(labels);
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < value.counts.size(); ++i) {
    total += value.counts[i];
    const double bound =
        i < value.bounds.size() ? value.bounds[i] : std::numeric_limits<double>::infinity();
    metric.histogram.bucket.push_back({total, bound});
  }
  metric.histogram.sample_count = total;
  metric.histogram.sample_sum = value.sum;
  families_->all.back().metric.push_back(std::move(metric));
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

MetricsPage& MetricsPage::one_of(std::string_view label,
                                 std::initializer_list<std::string_view> known,
                                 std::string_view actual, MetricLabels labels) {
  for (const auto value : known) {
    auto metric = labelled(labels);
    metric.label.push_back({std::string{label}, std::string{value}});
    families_->add(value == actual ? 1 : 0, std::move(metric));
  }
  return *this;
}

std::string MetricsPage::text() const {
  return prometheus::TextSerializer{}.Serialize(families_->all);
}

}  // namespace holdfast::agent::daemon
