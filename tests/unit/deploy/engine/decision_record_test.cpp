#include "deploy/engine/state/decision_record.hpp"

#include <gtest/gtest.h>

namespace holdfast::deploy::engine {
namespace {

using proto::EntryKind;

TEST(DecisionRecords, OnlyWhatBelongsToTheRolloutIsDoneInTheNameOfWhoAskedForIt) {
  plan::Decision rolling;
  rolling.progress.rollout = plan::Rollout{};
  rolling.progress.rollout->actor = "alice (uid 1000)";
  plan::Decision ended;
  ended.finished = rolling.progress.rollout;
  for (const auto* decision : {&rolling, &ended}) {
    for (const auto kind :
         {EntryKind::phase, EntryKind::switched, EntryKind::good, EntryKind::failed,
          EntryKind::rolled_back, EntryKind::quarantined, EntryKind::hook_started,
          EntryKind::hook_finished, EntryKind::hook_failed})
      EXPECT_EQ(actor_of(*decision, kind), "alice (uid 1000)");
    for (const auto kind : {EntryKind::restarted, EntryKind::completed, EntryKind::started,
                            EntryKind::resumed, EntryKind::held, EntryKind::standby_dropped})
      EXPECT_EQ(actor_of(*decision, kind), "agent");
  }
  EXPECT_EQ(actor_of(plan::Decision{}, EntryKind::restarted), "agent");
}

}  // namespace
}  // namespace holdfast::deploy::engine
