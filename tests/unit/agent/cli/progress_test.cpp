#include "agent/cli/render/progress.hpp"

#include <gtest/gtest.h>

#include "agent/cli/render/detail.hpp"
#include "tests/unit/agent/cli/look.hpp"

namespace holdfast::agent::cli {
namespace {

using namespace std::chrono_literals;

proto::api::Event event(std::string kind, std::string message, std::string service = {},
                        std::uint64_t generation = 43) {
  return {1,          "2026-11-23T12:00:00Z", std::move(kind),
          generation, std::move(service),     std::move(message),
          ""};
}

proto::api::Event pull(const std::string& layer, const std::string& phase, std::uint64_t bytes,
                       std::uint64_t total) {
  auto made = event("pull", "", "", 0);
  made.detail = R"({"image":"127.0.0.1:5000/shop/web:2@sha256:)" + std::string(64, '1') +
                R"(","layer":")" + layer + R"(","phase":")" + phase + R"(","bytes":)" +
                std::to_string(bytes) + R"(,"total":)" + std::to_string(total) + "}";
  return made;
}

BootTime at(Milliseconds since_start) { return BootTime{1h + since_start}; }

TEST(ProgressTest, DrawsABarForAnImageAndItsLayers) {
  Progress progress{43};
  progress.on(pull("c0ffee99", "downloading", 5U << 20, 10U << 20), at(0ms));
  progress.on(pull("0badcafe", "unpacking", 10U << 20, 10U << 20), at(2s));
  const auto lines = progress.live(kTerminal, at(3s));
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[0],
            "pulling shop/web:2  ━━━━━━━━━━────  75%  15.0 MiB/20.0 MiB  5.0 MiB/s  eta 2.0s");
  EXPECT_EQ(lines[1], "  0badcafe       ━━━━━━━━━━━━━━ 100%  10.0 MiB  unpacking");
  EXPECT_EQ(lines[2], "  c0ffee99       ━━━━━━━───────  50%  5.0 MiB/10.0 MiB");
  for (const auto& line : lines) EXPECT_LE(display_width(line), 80U);
}

TEST(ProgressTest, ShowsRateAndTimeLeftOfALayer) {
  Progress progress{43};
  auto one = pull("c0ffee99", "downloading", 5U << 20, 10U << 20);
  one.detail.insert(one.detail.size() - 1, R"(,"rate":1048576,"seconds_left":5)");
  progress.on(one, at(0ms));
  EXPECT_EQ(progress.live(kTerminal, at(0ms))[1],
            "  c0ffee99       ━━━━━━━───────  50%  5.0 MiB/10.0 MiB  1.0 MiB/s  eta 5.0s");
}

TEST(ProgressTest, OfAnImageJobKnowsItsOwnImageAndWhatIsDoneWithIt) {
  auto one = pull("c0ffee99", "downloading", 1, 2);
  auto other = Progress::of_images("127.0.0.1:5000/other@sha256:" + std::string(64, '1'));
  other.on(one, at(0ms));
  EXPECT_TRUE(other.live(kTerminal, at(0ms)).empty());
  auto all = Progress::of_images("");
  all.on(pull("c0ffee99", "verifying", 1, 2), at(0ms));
  EXPECT_TRUE(all.live(kTerminal, at(0ms))[0].starts_with("verifying shop/web:2"));
  all.on(pull("c0ffee99", "done", 2, 2), at(0ms));
  all.on(pull("", "done", 0, 0), at(0ms));
  EXPECT_TRUE(all.take_facts({})[0].ends_with("was here already")) << "hashed is not pulled";
}

TEST(ProgressTest, CollapsesADoneImageToOneFact) {
  Progress progress{43};
  progress.on(pull("c0ffee99", "done", 10U << 20, 10U << 20), at(0ms));
  progress.on(pull("", "done", 0, 0), at(1900ms));
  progress.on(pull("", "done", 0, 0), at(2000ms));
  EXPECT_EQ(progress.take_facts({}),
            std::vector<std::string>{"✓ pulled      shop/web:2  10.0 MiB in 1.9s"});
  EXPECT_TRUE(progress.live(kTerminal, at(2s)).empty());
  EXPECT_TRUE(progress.take_facts({}).empty());
}

TEST(ProgressTest, ShowsPhasesAndFactsOfItsOwnGenerationOnly) {
  Progress progress{43};
  progress.on(event("phase", "checking"), at(0ms));
  progress.on(event("phase", "soaking", "", 44), at(0ms));
  progress.on(event("switched", "traffic goes to the new instances"), at(1s));
  progress.on(event("failed", "GET :8080/healthz -> 500\x1b[2J", "api"), at(2s));
  progress.on(event("result", "rolled_back"), at(3s));
  EXPECT_EQ(progress.live(kTerminal, at(2500ms)), std::vector<std::string>{"· checking for 2.5s"});
  EXPECT_EQ(progress.take_facts({}),
            (std::vector<std::string>{"✓ switched    traffic goes to the new instances",
                                      "✗ failed      api  GET :8080/healthz -> 500\\x1b[2J"}));
}

TEST(ProgressTest, IsSparingWhereLinesStay) {
  Progress progress{43};
  progress.on(event("phase", "staging"), at(0ms));
  progress.on(pull("c0ffee99", "downloading", 1, 1000), at(0ms));
  EXPECT_EQ(progress.take_plain({}, at(0ms)), std::vector<std::string>{"· staging"});
  progress.on(pull("c0ffee99", "downloading", 90, 1000), at(1s));
  EXPECT_TRUE(progress.take_plain({}, at(1s)).empty());
  progress.on(pull("c0ffee99", "downloading", 250, 1000), at(2s));
  EXPECT_EQ(progress.take_plain({}, at(2s)),
            std::vector<std::string>{"· pulling     shop/web:2  25%  250 B/1000 B"});
  EXPECT_TRUE(progress.take_plain({}, at(3s)).empty());
  EXPECT_EQ(progress.take_plain({}, at(13s)).size(), 1U) << "ten seconds without a tenth";
}

TEST(Detail, ReadsEvidenceAndIgnoresWhatIsMissing) {
  const auto evidence =
      decode_evidence(R"({"evidence":{"probe":"GET / -> 500","exit_code":1,"log":["a","b"]}})");
  ASSERT_EQ(evidence.facts.size(), 2U);
  EXPECT_EQ(evidence.facts[1], (std::pair<std::string, std::string>{"exit_code", "1"}));
  EXPECT_EQ(evidence.log, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(decode_evidence("").facts.empty());
  EXPECT_TRUE(decode_evidence("[1]").facts.empty());
  EXPECT_EQ(decode_pull("{}").total, 0U);
}

}  // namespace
}  // namespace holdfast::agent::cli
