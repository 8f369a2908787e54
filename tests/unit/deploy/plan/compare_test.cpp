#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proto/deployment/deployment.hpp"
#include "tests/support/plan_world.hpp"

namespace holdfast::test {
namespace {

using namespace deploy::plan;
using ::testing::HasSubstr;

std::string reason(const std::string& rest,
                   const std::map<ServiceName, Milliseconds>& start_times = {}) {
  const auto document = [&](const char* digit) {
    const auto text =
        "apiVersion: holdfast/v1\nname: shop\nservices:\n  db:\n    image: r.io/db@sha256:" +
        std::string(64, *digit) + "\n" + rest;
    auto read = proto::load_deployment(text, "x");
    EXPECT_TRUE(read) << read.error().what();
    return std::move(read).value();
  };
  const auto before = document("1");
  const auto steps = compare(&before, document("2"), start_times);
  EXPECT_EQ(steps.size(), 1U);
  return steps.front().reason;
}

TEST(Plan, NamesTheReasonOfAReplaceAndTheDowntimeByTheLastStart) {
  const std::string volume = "    volumes: [{source: data, target: /data}]\n";
  EXPECT_EQ(
      reason(volume + "    stop: {timeout: 5s}\n", {{ServiceName{"db"}, Milliseconds{1'200}}}),
      "writable volume data, which both would write to: down for at most 6.2s: its stop (at "
      "most 5.0s) and its start (1.2s last time)");
}

TEST(Plan, EstimatesTheDowntimeOfWhatWasNeverStartedByItsDeadline) {
  EXPECT_THAT(reason("    network: host\n    update: {deadline: 20s}\n"),
              HasSubstr("host network, where both would want the same ports: down for its stop (at "
                        "most 10s) and its start (not measured yet; at most 20s, its deadline)"));
  EXPECT_THAT(reason("    update: {strategy: replace}\n"), HasSubstr("as the document says: down"));
}

TEST(Plan, SaysWhenACutoverSharesAVolume) {
  EXPECT_EQ(reason("    update: {strategy: cutover}\n"), "started beside the old one, no downtime");
  EXPECT_THAT(reason("    volumes: [{source: data, target: /data}]\n"
                     "    update: {strategy: cutover}\n"),
              HasSubstr("both write to volume data until the old one has drained"));
}

TEST(Plan, MeasuresHowLongAServiceTakesToStart) {
  PlanWorld world{1};
  world.apply(make_deployment({{"db", {.replace = true}}}));
  EXPECT_TRUE(world.settle());
  const auto measured = world.progress.start_times.find(ServiceName{"db"});
  ASSERT_NE(measured, world.progress.start_times.end());
  EXPECT_GT(measured->second, Milliseconds{0});
  const auto read = decode_progress(encode_progress(world.progress), world.now);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->start_times, world.progress.start_times);
}

}  // namespace
}  // namespace holdfast::test
