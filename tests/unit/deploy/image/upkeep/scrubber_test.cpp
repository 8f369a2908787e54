#include "deploy/image/upkeep/scrubber.hpp"

#include <gmock/gmock.h>

#include <map>

#include "tests/support/fake_ports.hpp"

namespace holdfast::deploy::image {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

proto::Digest digest(char digit) {
  return proto::Digest::parse("sha256:" + std::string(64, digit)).value();
}

/// Layers that are due, each with the images found to be damaged by it.
class FakeMaintenance final : public ImageMaintenance {
 public:
  Result<std::vector<ImageInfo>> inventory() override { return images; }
  Status lease(const proto::Digest&, WallTime, const std::string&) override { return ok(); }
  Result<CollectionPlan> plan_collection() override { return CollectionPlan{}; }
  Result<CollectionPlan> collect_unneeded(const std::stop_token&) override {
    return CollectionPlan{};
  }
  Result<Verification> verify(const std::set<proto::Digest>&, const Budget&, const ProgressSink&,
                              const std::stop_token&) override {
    return Verification{};
  }
  Result<std::optional<Verification>> scrub_one(Milliseconds, const Budget& budget,
                                                const std::stop_token&) override {
    rate = budget.bytes_per_second;
    if (due.empty()) return std::optional<Verification>{};
    auto next = due.front();
    due.erase(due.begin());
    if (!next) return next.error();
    return std::optional{*next};
  }
  std::vector<ImageInfo> images;
  std::vector<Result<Verification>> due;
  std::uint64_t rate = 0;
};

class ScrubberTest : public testing::Test {
 protected:
  void damaged(char digit, const std::string& reference = "r.io/a") {
    care_.images.push_back(
        {.pinned = digest(digit),
         .manifest = digest(digit),
         .reference = reference.empty() ? "" : reference + "@" + digest(digit).str(),
         .damage = {"layer x"}});
  }
  static Verification layer(std::vector<proto::Digest> damaged = {}) {
    return {.bytes = 10, .layers = 1, .unknown = 0, .damaged = std::move(damaged)};
  }
  Scrubber scrubber(Milliseconds every = 24h) {
    return {images_, care_, {.every = every, .bandwidth = Bytes{1000}}, {}};
  }
  Scrubber::Hashed hash(Scrubber scrubber, const std::stop_token& stop = {}) {
    return scrubber.hash_due_layers([this](const Verification& sum) { layers_ += sum.layers; },
                                    stop);
  }
  test::FakeHost host_;
  test::FakeImages images_{host_};
  FakeMaintenance care_;
  std::uint32_t layers_ = 0;
};

TEST_F(ScrubberTest, RepairsAllThatIsDamagedEvenIfOneFails) {
  damaged('a');
  damaged('b');
  damaged('c', "");
  care_.images.push_back({.pinned = digest('d'), .manifest = digest('d'), .reference = "whole"});
  host_.pull_errors.emplace(digest('a'), Error{Errc::unreachable, "no route"});
  const auto done = scrubber().repair_known(Scrubber::Repairs::allowed, {});
  EXPECT_THAT(done.images, ElementsAre(digest('b')));
  EXPECT_EQ(done.first_failure.error().code(), Errc::unreachable);
}

TEST_F(ScrubberTest, RepairsNothingWhereThatIsForbiddenOrNothingIsDamaged) {
  damaged('a');
  const auto forbidden = scrubber().repair_known(Scrubber::Repairs::forbidden, {});
  EXPECT_THAT(forbidden.images, IsEmpty());
  EXPECT_TRUE(forbidden.first_failure);
  care_.images.clear();
  EXPECT_TRUE(scrubber().repair_known(Scrubber::Repairs::allowed, {}).first_failure);
  EXPECT_EQ(host_.pulls, 0);
}

TEST_F(ScrubberTest, HashesUntilNothingIsDueWithinTheBandwidth) {
  care_.due = {layer(), layer({digest('a'), digest('b')}), layer()};
  const auto hashed = hash(scrubber());
  EXPECT_TRUE(hashed.completed);
  EXPECT_EQ(hashed.damaged_images, 2U);
  EXPECT_EQ(layers_, 3U);
  EXPECT_EQ(care_.rate, 1000U);
}

TEST_F(ScrubberTest, EndsAtAFailureAndWhenItGivesWay) {
  care_.due = {layer(), Error{Errc::io, "read error"}, layer()};
  EXPECT_FALSE(hash(scrubber()).completed);
  EXPECT_EQ(layers_, 1U);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_FALSE(hash(scrubber(), stop.get_token()).completed);
  EXPECT_EQ(layers_, 1U);
}

TEST_F(ScrubberTest, HashesNothingWhenItIsSwitchedOff) {
  care_.due = {layer()};
  EXPECT_FALSE(hash(scrubber(0ms)).completed);
  EXPECT_EQ(layers_, 0U);
}

}  // namespace
}  // namespace holdfast::deploy::image
