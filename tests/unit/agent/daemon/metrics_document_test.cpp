// packaging/doc/metrics.md is what the table and an empty page say. HOLDFAST_WRITE=1 writes it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>

#include "agent/daemon/late_setup.hpp"
#include "agent/daemon/metrics.hpp"
#include "agent/daemon/metrics_table.hpp"
#include "common/os/environment.hpp"
#include "common/os/file.hpp"
#include "tests/support/metrics_text.hpp"

namespace holdfast::agent::daemon {
namespace {

constexpr std::string_view kBefore =
    R"(# Metrics

Made from `agent/daemon/metrics_table.hpp`; `unit/agent/daemon/metrics_document` fails when the two differ, and with `HOLDFAST_WRITE=1` writes
this page anew.

`GET http://127.0.0.1:9472/metrics` (`metrics_listen` in agent.yaml; `off` switches it off), in the text format of Prometheus 0.0.4. Only
addresses, the host's own name and the names in `metrics_hosts` are answered, any other `Host` gets 421. With
`metrics_token_file: FILE` in agent.yaml the token in it has to be sent (`Authorization: Bearer …`), else 401. The file is read every 5 s and at
a reload, so a new token counts soon. One that is missing, that others than root may read or can have written, or whose token has less than
16 bytes gives the metrics to nobody (503), and `holdfast status` says so. `/healthz` and `/readyz` take no token, nor does the unix socket.
There is no TLS: put a proxy in front. OpenMetrics is not served: the library that writes the text, prometheus-cpp 1.0, has no serializer for
it, and Prometheus asks for this format as well.

Labels hold names of services, labels and images from the document, and words of closed lists; each known word has its series from the
start, so that `increase()` sees the first event. Digests are shortened to 12 digits. Series of a service go with the service; only that of
`holdfast_workload_stop_kills_total` stays where it counted something, as long as there are at most 256. `holdfast_ledger_head_info` has one
series at a time, and another with each entry of the ledger. Counters begin with the agent's process, but the figures of the last state
(generations, quarantine, ledger) are of what is on the disk.
)";

constexpr std::array<std::string_view, 11> kTitles{
    "The agent",  "Deployment and rollout", "The way back", "Workloads", "What workloads use",
    "Drift",      "Source and trust",       "Images",       "Ledger",    "Disk and store",
    "The process"};

/// Label → the values that are there before anything was deployed.
using Known = std::map<std::string, std::vector<std::string>>;

Known known_values(const test::MetricFamilyText& family) {
  Known known;
  for (const auto& sample : family.samples) {
    for (const auto& [name, value] : sample.labels) {
      auto& values = known[name];
      if (std::find(values.begin(), values.end(), value) == values.end()) values.push_back(value);
    }
  }
  return known;
}

std::string table_of(MetricRow::Section section) {
  auto text = fmt::format("\n## {}\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n",
                          kTitles.at(static_cast<std::size_t>(section)));
  for (const auto& row : kMetrics)
    if (row.section == section)
      text += fmt::format("| `{}` | {} | {} | {} |\n", row.name, to_string(row.type), row.labels,
                          row.help);
  return text;
}

/// What a workload, or the engine's first pass, brings; the rest is on the page from the start.
deploy::engine::Snapshot one_service() {
  deploy::engine::Snapshot one;
  one.status.services.emplace_back().name = "web";
  one.counters.workloads["web"] = {};
  one.gauges.relaxations["web"] = 0;
  for (const auto* cause : {"hold", "window", "soak"}) one.gauges.waiting[cause] = 0;
  for (const auto kind : proto::Words<proto::DriftKind>::kAll)
    one.gauges.drift_now[std::string{kind}] = 0;
  return one;
}

DaemonStats figures_of_one() {
  DaemonStats figures;
  figures.host.dropped_log_bytes["web"] = 0;
  figures.host.workloads["web"].sum.waiting.emplace();
  figures.setup_incomplete = LateSetup{}.gauges();
  return figures;
}

std::string values_table(const std::vector<test::MetricFamilyText>& page) {
  std::string text =
      "\n## Values of labels\n\nThose of closed lists; what a label is not listed for comes from "
      "the document, the image or the ledger.\n\n"
      "| metric | label | values |\n|---|---|---|\n";
  for (const auto& family : page) {
    if (family.name.ends_with("_info")) continue;
    for (const auto& [name, values] : known_values(family)) {
      if (name == "workload") continue;
      std::string listed;
      for (const auto& value : values) listed += (listed.empty() ? "" : " ") + value;
      text += fmt::format("| `{}` | {} | {} |\n", family.name, name, listed);
    }
  }
  return text;
}

std::size_t series_of(const std::vector<test::MetricFamilyText>& page) {
  std::size_t count = 0;
  for (const auto& family : page) count += family.samples.size();
  return count;
}

std::string document() {
  auto empty = one_service();
  empty.status.services.clear();
  empty.counters.workloads.clear();
  empty.gauges.relaxations.clear();
  DaemonStats figures;
  figures.setup_incomplete = LateSetup{}.gauges();
  const auto fixed = series_of(test::read_metrics(metrics_text(empty, figures)));
  const auto page = test::read_metrics(metrics_text(one_service(), figures_of_one()));
  std::string text{kBefore};
  text += fmt::format(
      "\nA host with N services has some {} + {} N series, and one for each label that the "
      "document "
      "gives a service.\n",
      fixed, series_of(page) - fixed);
  for (std::size_t section = 0; section < kTitles.size(); ++section)
    text += table_of(static_cast<MetricRow::Section>(section));
  return text + values_table(page);
}

TEST(MetricsDocument, SaysWhatTheTableSays) {
  const std::filesystem::path path =
      os::environment("HOLDFAST_SOURCE").value_or(".") + "/packaging/doc/metrics.md";
  const auto expected = document();
  if (os::environment("HOLDFAST_WRITE") == "1") {
    ASSERT_TRUE(os::write_atomic(path, expected, 0644, os::Durability::lazy));
  }
  const auto written = os::read_file(path);
  ASSERT_TRUE(written);
  EXPECT_EQ(*written, expected) << "HOLDFAST_WRITE=1 writes it anew";
}

}  // namespace
}  // namespace holdfast::agent::daemon
