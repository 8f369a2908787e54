// What is shown follows from what is known, also while a document has yet to be read.
#include "deploy/engine/status.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/plan_world.hpp"

namespace holdfast::deploy::engine {
namespace {

using ::testing::HasSubstr;

class StatusOf : public ::testing::Test {
 protected:
  StatusOf() {
    progress_.current = plan::GenerationId{1};
    progress_.stopped[plan::ServiceName{"web"}] = {"root (uid 0)", "a disk", {}, {}};
  }
  proto::api::Status status() {
    return make_status({progress_, observed_, counters_, drift_, records_, rollback_, refusal_});
  }
  plan::Progress progress_;
  plan::Observed observed_;
  Counters counters_;
  std::map<std::string, DriftLog::Item> drift_;
  Records records_;
  proto::api::RollbackReadiness rollback_;
  std::optional<Journal::Refusal> refusal_;
};

TEST_F(StatusOf, ADocumentThatIsNotReadYetNamesNoService) {
  const auto shown = status();
  EXPECT_TRUE(shown.services.empty());
  EXPECT_EQ(shown.message, "");
}

TEST_F(StatusOf, AStoppedServiceIsNamedWithWhatStartsIt) {
  observed_.documents[plan::GenerationId{1}] = test::make_deployment({{"web", {}}});
  const auto shown = status();
  ASSERT_EQ(shown.services.size(), 1U);
  EXPECT_EQ(shown.services[0].state.text(), "stopped");
  EXPECT_EQ(shown.state.text(), "converged");
  EXPECT_THAT(shown.message, HasSubstr("holdfast start web"));
}

}  // namespace
}  // namespace holdfast::deploy::engine
