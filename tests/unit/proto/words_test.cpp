#include "proto/words.hpp"

#include <gtest/gtest.h>

#include <set>

#include "proto/api/states.hpp"

namespace holdfast::proto {
namespace {

using State = Word<api::ServiceState>;

TEST(Words, AreNoneAtFirstAndReadAsTheyAreWritten) {
  EXPECT_TRUE(State{}.empty());
  EXPECT_EQ(State{}.text(), "");
  EXPECT_EQ(State::read(""), State{});
  for (const auto word : Words<api::ServiceState>::kAll) EXPECT_EQ(State::read(word).text(), word);
  EXPECT_EQ(State::read("running"), api::ServiceState::running);
  EXPECT_EQ(State{"frozen"}, api::ServiceState::frozen);
}

TEST(Words, ThatOnlyTheOtherSideKnowsAreUnknown) {
  const auto word = State::read("hovering\x1b[2J");
  EXPECT_EQ(word.text(), "unknown");
  EXPECT_FALSE(word.empty());
  EXPECT_NE(word, State{});
  for (const auto known : Words<api::ServiceState>::kAll) EXPECT_NE(word, State::read(known));
}

/// The last enumerator has the last word, and no word stands twice.
template <class E>
void expect_whole(E last) {
  const auto& all = Words<E>::kAll;
  EXPECT_EQ(static_cast<std::size_t>(last) + 1, all.size()) << all.back();
  EXPECT_EQ(std::set<std::string_view>(all.begin(), all.end()).size(), all.size());
}

TEST(Words, AreOneForEachEnumerator) {
  expect_whole(api::ServiceState::missing);
  expect_whole(api::HealthState::unhealthy);
  expect_whole(api::DeploymentState::degraded);
  expect_whole(api::RolloutPhase::waiting);
  expect_whole(api::RehearsalState::interrupted);
  expect_whole(api::GenerationResult::superseded);
  expect_whole(api::OutcomeResult::pending);
  expect_whole(api::PlanChange::keep);
  expect_whole(api::LogOrigin::err);
  expect_whole(api::ImageOperation::import);
  expect_whole(api::CollectedKind::replaced);
  expect_whole(DriftKind::orphan);
  expect_whole(DriftAction::hold);
  expect_whole(EntryKind::exec_ended);
}

}  // namespace
}  // namespace holdfast::proto
