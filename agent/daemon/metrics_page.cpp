#include "agent/daemon/metrics_page.hpp"

#include <fmt/format.h>

#include <cmath>

#include "common/base/text.hpp"

namespace holdfast::agent::daemon {
namespace {

std::string number_text(double value) {
  if (std::isnan(value)) return "Nan";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

/// As the text format of Prometheus escapes the values of labels; of a help text, all but the
/// quotes.
void append_escaped(std::string& out, std::string_view raw, bool quotes) {
  for (const char c : well_formed(raw)) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\\' || (quotes && c == '"')) {
      out += '\\';
      out += c;
    } else {
      out += c;
    }
  }
}

}  // namespace

MetricsPage& MetricsPage::begin(std::string name, std::string_view help, std::string_view type) {
  name_ = std::move(name);
  text_ += fmt::format("# HELP {} ", name_);
  append_escaped(text_, help, false);
  text_ += fmt::format("\n# TYPE {} {}\n", name_, type);
  return *this;
}

MetricsPage& MetricsPage::gauge(std::string name, std::string_view help) {
  return begin(std::move(name), help, "gauge");
}
MetricsPage& MetricsPage::counter(std::string name, std::string_view help) {
  return begin(std::move(name), help, "counter");
}
MetricsPage& MetricsPage::histogram(std::string name, std::string_view help) {
  return begin(std::move(name), help, "histogram");
}

void MetricsPage::line(std::string_view suffix, double value, MetricLabels labels,
                       const Label& more) {
  text_ += name_;
  text_ += suffix;
  char before = '{';
  const auto put = [&](const Label& label) {
    text_ += std::exchange(before, ',');
    text_ += label.first;
    text_ += "=\"";
    append_escaped(text_, label.second, true);
    text_ += '"';
  };
  for (const auto& label : labels) put(label);
  if (!more.first.empty()) put(more);
  if (before == ',') text_ += '}';
  text_ += ' ';
  text_ += number_text(value);
  text_ += '\n';
}

MetricsPage& MetricsPage::sample(double value, MetricLabels labels) {
  line("", value, labels);
  return *this;
}

MetricsPage& MetricsPage::sample(const deploy::engine::Histogram& value, MetricLabels labels) {
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < value.counts.size(); ++i) {
    total += value.counts[i];
    const auto bound = i < value.bounds.size() ? number_text(value.bounds[i]) : std::string{"+Inf"};
    line("_bucket", static_cast<double>(total), labels, {"le", bound});
  }
  line("_sum", value.sum, labels);
  line("_count", static_cast<double>(total), labels);
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
  for (const auto value : known) line("", value == actual ? 1 : 0, labels, {label, value});
  return *this;
}

}  // namespace holdfast::agent::daemon
