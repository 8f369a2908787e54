#include "deploy/image/upkeep/upkeep.hpp"

#include <gtest/gtest.h>

#include <condition_variable>

#include "common/base/text.hpp"
#include "tests/support/fake_clock.hpp"

namespace holdfast::deploy::image {
namespace {

namespace api = proto::api;

const std::string kImage = "registry.test/slow@sha256:" + std::string(64, 'a');

/// A registry that never delivers: a fetch ends when it is told to stop.
class StuckImages final : public Images {
 public:
  Result<Pulled> ensure(const Wanted&, const ProgressSink&, const std::stop_token& stop) override {
    std::unique_lock lock{mutex_};
    ++asked_;
    changed_.notify_all();
    changed_.wait(lock, stop, [] { return false; });
    return Error{Errc::cancelled, "fetch"};
  }
  Result<HeldImage> look(const proto::Digest&) override {
    return Error{Errc::not_found, "no image"};
  }
  Result<StoredImage> find(const proto::Digest&) override {
    return Error{Errc::not_found, "no image"};
  }
  Result<std::set<proto::Digest>> list() override { return std::set<proto::Digest>{}; }
  void retain(Holders) override {}
  Result<Collected> collect(const std::set<proto::Digest>&, const std::stop_token&) override {
    return Collected{};
  }
  /// Whether so many fetches have begun, at most 5 s from now.
  bool wait_for(int fetches) {
    std::unique_lock lock{mutex_};
    return changed_.wait_for(lock, std::chrono::seconds{5}, [&] { return asked_ >= fetches; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  int asked_ = 0;
};

class EmptyStore final : public ImageMaintenance, public ImageArchives {
 public:
  Result<std::vector<ImageInfo>> inventory() override { return std::vector<ImageInfo>{}; }
  Status lease(const proto::Digest&, WallTime, const std::string&) override { return ok(); }
  Result<CollectionPlan> plan_collection() override { return CollectionPlan{}; }
  Result<CollectionPlan> collect_unneeded(const std::stop_token&) override {
    return CollectionPlan{};
  }
  Result<Verification> verify(const std::set<proto::Digest>&, const Budget&, const ProgressSink&,
                              const std::stop_token&) override {
    return Verification{};
  }
  Result<std::optional<Verification>> scrub_one(Milliseconds, const Budget&,
                                                const std::stop_token&) override {
    return std::optional<Verification>{};
  }
  Result<Imported> import_archive(const os::UniqueFd&, const std::string&, WallTime,
                                  const std::string&, const ProgressSink&,
                                  const std::stop_token&) override {
    return Imported{};
  }
  Result<std::uint64_t> export_archive(const proto::Digest&, const os::UniqueFd&,
                                       const ProgressSink&, const std::stop_token&) override {
    return std::uint64_t{0};
  }
};

class Results final : public Upkeep::Listener {
 public:
  void progress(const PullProgress&) override {}
  void images_changed(const std::string&, const requests::Actor&) override {}
  void ended(const api::ImageResult& result) override {
    const std::lock_guard lock{mutex_};
    ended_.push_back(result);
    changed_.notify_all();
  }
  [[nodiscard]] Scrubber::Repairs repairs() const override { return Scrubber::Repairs::forbidden; }

  /// The job of that number, at most 5 s from now.
  std::optional<api::ImageResult> wait_for(std::uint64_t job) {
    std::unique_lock lock{mutex_};
    std::optional<api::ImageResult> found;
    changed_.wait_for(lock, std::chrono::seconds{5}, [&] {
      for (const auto& result : ended_)
        if (result.job == job) found = result;
      return found.has_value();
    });
    return found;
  }
  bool has(std::uint64_t job) {
    const std::lock_guard lock{mutex_};
    for (const auto& result : ended_)
      if (result.job == job) return true;
    return false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<api::ImageResult> ended_;
};

const requests::Actor kRoot{"root (uid 0)", requests::Actor::Role::root};

class Upkeeps : public ::testing::Test {
 protected:
  test::FakeClock clock_;
  StuckImages images_;
  EmptyStore store_;
  Results results_;
  Upkeep upkeep_{{images_, store_, store_, clock_, results_}, proto::ScrubConfig{}};
};

TEST_F(Upkeeps, NothingWaitsBehindAPullThatDoesNotEnd) {
  const auto pull = upkeep_.pull({.image = kImage, .until = ""}, kRoot);
  ASSERT_TRUE(pull) << pull.error().to_string();
  const auto collection = upkeep_.gc(kRoot);
  ASSERT_TRUE(collection);
  EXPECT_EQ(collection->waits_for, "");
  EXPECT_TRUE(results_.wait_for(collection->job));
  const auto verification = upkeep_.verify({}, kRoot);
  ASSERT_TRUE(verification);
  EXPECT_TRUE(results_.wait_for(verification->job));
  EXPECT_FALSE(results_.has(pull->job));
  upkeep_.stop();
}

TEST_F(Upkeeps, APullEndsAtItsDeadlineAndTheNextBegins) {
  const auto first = upkeep_.pull({.image = kImage, .until = ""}, kRoot);
  const auto second = upkeep_.pull({.image = kImage, .until = ""}, kRoot);
  ASSERT_TRUE(first && second && images_.wait_for(1));
  clock_.advance(kFetchDeadline - std::chrono::seconds{1});
  upkeep_.tick();
  EXPECT_FALSE(results_.has(first->job));
  clock_.advance(std::chrono::seconds{1});
  upkeep_.tick();
  const auto ended = results_.wait_for(first->job);
  ASSERT_TRUE(ended && ended->error);
  EXPECT_EQ(ended->error->code, code(Errc::timed_out));
  EXPECT_NE(ended->error->message.find("1h"), std::string::npos) << ended->error->message;
  EXPECT_FALSE(ended->error->next.empty());
  EXPECT_TRUE(images_.wait_for(2));
  EXPECT_FALSE(results_.has(second->job));
  upkeep_.stop();
}

}  // namespace
}  // namespace holdfast::deploy::image
