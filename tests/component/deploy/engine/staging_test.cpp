#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/os/file.hpp"
#include "tests/support/fake_ports.hpp"
#include "tests/support/shop.hpp"

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;
using deploy::engine::Jobs;

std::string stageable(const std::string& version) {
  return shop_of(web(version, {"update: {soak: 1s, deadline: 5s}"}));
}

class StagingTest : public ::testing::Test {
 protected:
  const proto::api::Status& status() {
    shown_ = agent_.snapshot();
    return shown_->status;
  }
  std::string result_of(std::uint64_t generation) {
    for (const auto& item : agent_.snapshot()->records->history)
      if (item.generation == generation) return item.result.str();
    return {};
  }
  os::TempDir dir_ = os::TempDir::create("/tmp", "holdfast-staging").value();
  FakeHost host_;
  Agent agent_{host_, dir_.path()};
  std::shared_ptr<const deploy::engine::Snapshot> shown_;
};

TEST_F(StagingTest, WhateverARegistryDidWrongTheSameDocumentIsDeployedWhenItIsMended) {
  int version = 1;
  for (const auto code : {Errc::not_found, Errc::digest_mismatch, Errc::size_mismatch, Errc::ssrf,
                          Errc::layer_corrupt, Errc::layer_unsafe, Errc::perm, Errc::tls}) {
    const auto name = std::to_string(++version);
    host_.pull_errors.emplace(proto::Digest::of(name), Error{code, "it misbehaves"});
    ASSERT_TRUE(agent_.apply(stageable(name)));
    agent_.run(300ms);
    ASSERT_TRUE(status().rollout) << "it is tried again";
    EXPECT_THAT(status().rollout->waiting_for, ::testing::HasSubstr("it misbehaves"));
    agent_.run(60s);
    EXPECT_FALSE(status().rollout);
    EXPECT_TRUE(agent_.snapshot()->records->quarantine.empty()) << holdfast::code(code);
    host_.pull_errors.clear();
    ASSERT_TRUE(agent_.apply(stageable(name)));
    agent_.run(20s);
    EXPECT_EQ(status().state.text(), "converged");
    EXPECT_EQ(status().spec_digest,
              proto::load_deployment(stageable(name), "x")->spec_digest.str());
  }
}

TEST_F(StagingTest, ANewerDocumentTakesThePlaceOfOneThatIsStillFetched) {
  agent_.jobs().delayed = {Jobs::Pool::pull};
  ASSERT_TRUE(agent_.apply(stageable("1")));
  agent_.run(1s);
  ASSERT_EQ(status().rollout->phase.text(), "staging");
  const auto newer = agent_.apply(stageable("2"));
  ASSERT_TRUE(newer) << newer.error().to_string();
  agent_.run(1s);
  EXPECT_EQ(result_of(1), "superseded");
  agent_.jobs().delayed.clear();
  agent_.jobs().release();
  agent_.run(20s);
  EXPECT_EQ(status().generation, newer->generation);
  EXPECT_EQ(status().state.text(), "converged");
  EXPECT_FALSE(host_.local_images.contains(proto::Digest::of("1"))) << "its download was ended";
  const auto told = agent_.core().events().after(0, 1'000);
  EXPECT_TRUE(std::any_of(told.begin(), told.end(), [](const auto& event) {
    return event.kind == "result" && event.generation == 1 && event.message == "superseded";
  })) << "who waits for it";
}

TEST_F(StagingTest, WhatRunsAppliedAgainEndsAFetchToo) {
  ASSERT_TRUE(agent_.apply(stageable("1")));
  agent_.run(10s);
  agent_.jobs().delayed = {Jobs::Pool::pull};
  ASSERT_TRUE(agent_.apply(stageable("2")));
  agent_.run(1s);
  const auto again = agent_.apply(stageable("1"));
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->changed);
  agent_.run(1s);
  EXPECT_FALSE(status().rollout);
  EXPECT_EQ(status().generation, 1U);
}

}  // namespace
}  // namespace holdfast::test
