// The page of metrics for hosts that are large, and for names that are hostile.
#include "agent/daemon/metrics.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "common/os/process.hpp"
#include "tests/support/metrics_text.hpp"

namespace holdfast::agent::daemon {
namespace {

using deploy::engine::Snapshot;
using ::testing::IsEmpty;

/// What a document may hold, and what would break a page that only pastes it in.
const std::string kHostile = "a\"} 1\nholdfast_held 1\n# \\ \xff\xfe é {x=\"y\",\t";

struct World {
  Snapshot snapshot;
  DaemonStats daemon;
};

World world_of(int services, const std::string& text) {
  World world;
  auto& status = world.snapshot.status;
  status.deployment = text;
  status.spec_digest = "sha256:" + std::string(64, 'a');
  world.snapshot.head = {7, std::string(64, 'b')};
  auto& host = world.daemon.host;
  host.state_size_bytes = 1;
  for (int i = 0; i < services; ++i) {
    const auto name = fmt::format("service-with-a-name-of-some-length-{}", i);
    proto::api::ServiceStatus service;
    service.name = name;
    service.image = "registry.example.com/team/" + text + ":1.2.3@sha256:" + std::string(64, 'c');
    service.digest = "sha256:" + std::string(64, 'c');
    service.state = proto::api::ServiceState::running;
    service.health = proto::api::HealthState::healthy;
    service.detail = text;
    status.services.push_back(service);
    world.snapshot.counters.workloads[name] = {};
    world.snapshot.counters.stop_kills[name] = 0;
    world.snapshot.gauges.relaxations[name] = 0;
    for (int label = 0; label < 4; ++label)
      world.snapshot.gauges.labels[name][fmt::format("team/{}", label)] = text;
    host.dropped_log_bytes[name] = 0;
    host.workloads[name].sum.waiting.emplace();
  }
  return world;
}

std::string page_of(const World& world) { return metrics_text(world.snapshot, world.daemon); }

std::size_t series_of(const std::string& page) {
  std::size_t count = 0;
  for (const auto& family : test::read_metrics(page)) count += family.samples.size();
  return count;
}

std::string promtool(const std::string& page) {
  os::RunOptions options;
  options.spawn.argv = {"promtool", "check", "metrics"};
  options.spawn.env = {os::kChildPath};
  options.input = page;
  const auto done = os::run(options);
  if (!done) return done.error().to_string();
  return os::succeeded(done->status) ? done->out + done->err : "failed: " + done->out + done->err;
}

TEST(MetricsPage, HasEveryRowOfTheTableWithItsLabels) {
  EXPECT_THAT(test::unlike_the_table(test::read_metrics(page_of(world_of(2, "shop")))), IsEmpty());
}

TEST(MetricsPage, IsWellFormedWhateverADocumentHolds) {
  const auto page = page_of(world_of(2, kHostile));
  EXPECT_EQ(promtool(page), "");
  EXPECT_THAT(test::unlike_the_table(test::read_metrics(page)), IsEmpty());
  for (const auto& family : test::read_metrics(page)) {
    if (family.name != "holdfast_held") continue;
    ASSERT_EQ(family.samples.size(), 1U) << "none was smuggled in";
    EXPECT_EQ(family.samples.front().value, 0);
  }
}

TEST(MetricsPage, GrowsWithTheServicesAndTheirLabelsAndWithNothingElse) {
  const auto none = series_of(page_of(world_of(0, "shop")));
  const auto one = series_of(page_of(world_of(1, "shop")));
  const auto two_hundred = series_of(page_of(world_of(200, "shop")));
  EXPECT_EQ(two_hundred - none, 200 * (one - none));
  constexpr std::size_t kMostOfAService = 70;
  EXPECT_LE(one - none, kMostOfAService);
}

TEST(MetricsPage, Of200ServicesIsSmallerThan2MiB) {
  const auto page = page_of(world_of(200, "shop"));
  EXPECT_LT(page.size(), 2U << 20);
}

TEST(MetricsPage, NamesNoWholeDigestButTheLedgersHead) {
  const auto page = page_of(world_of(1, "shop"));
  for (const auto& family : test::read_metrics(page)) {
    if (family.name == "holdfast_ledger_head_info") continue;
    for (const auto& sample : family.samples)
      for (const auto& [name, value] : sample.labels)
        EXPECT_EQ(value.find(std::string(13, 'c')), std::string::npos) << family.name;
  }
}

}  // namespace
}  // namespace holdfast::agent::daemon
