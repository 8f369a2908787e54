#include "deploy/plan/way_back.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "deploy/plan/plan.hpp"

namespace holdfast::test {
namespace {

using namespace deploy::plan;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// A history as letters, oldest first: a capital letter was good once, a small one never.
RollbackFacts history(const std::string& letters, std::uint64_t effective,
                      const std::string& quarantined = "") {
  const auto digest = [](char letter) {
    return proto::Digest::of(std::string(1, static_cast<char>(std::toupper(letter))));
  };
  RollbackFacts facts{
      .generations = {}, .quarantined = {}, .withdrawn = {}, .effective = GenerationId{effective}};
  for (std::size_t i = letters.size(); i-- > 0;)
    facts.generations.push_back(
        {GenerationId{i + 1}, digest(letters[i]), std::isupper(letters[i]) != 0});
  for (const char letter : quarantined) facts.quarantined.insert(digest(letter));
  return facts;
}

struct Row {
  const char* what;
  std::string letters;
  std::uint64_t effective;
  std::string quarantined;
  std::uint64_t target;  ///< 0: none
};

TEST(WayBack, DoesNotLeadToWhatWasWithdrawnNotEvenByName) {
  auto facts = history("ABC", 3, "A");
  EXPECT_EQ(rollback_target(facts, 1)->value(), 1U) << "quarantined by an operator";
  facts.withdrawn = facts.quarantined;
  const auto named = rollback_target(facts, 1);
  ASSERT_FALSE(named);
  EXPECT_EQ(named.error().code(), Errc::quarantined);
  EXPECT_NE(named.error().next_step().find("quarantine release"), std::string::npos);
  EXPECT_EQ(rollback_target(facts, 0)->value(), 2U);
}

TEST(WayBack, LeadsToTheNewestEarlierGoodContentThatIsAnother) {
  const Row rows[] = {
      {"nothing runs", "", 0, "", 0},
      {"the first one", "A", 1, "", 0},
      {"the plain case", "AB", 2, "", 1},
      {"one that was never good in between", "AbC", 3, "", 1},
      {"rolled back from B, released, applied again", "ABB", 3, "", 1},
      {"the same many times", "ABBBB", 5, "", 1},
      {"nothing but the same", "AAA", 3, "", 0},
      {"back and forth", "ABAB", 4, "", 3},
      {"back and forth, what is between quarantined", "ABAB", 4, "A", 0},
      {"a quarantined one is passed over", "ABC", 3, "B", 1},
      {"after a rollback it goes on backwards and never toggles", "ABC", 2, "", 1},
      {"after a rollback to the oldest there is none", "AB", 1, "", 0},
      {"a rollout that waits or failed is later than what runs", "ABc", 2, "", 1},
  };
  for (const auto& row : rows) {
    const auto facts = history(row.letters, row.effective, row.quarantined);
    const auto target = rollback_target(facts, 0);
    ASSERT_EQ(target.has_value(), row.target != 0) << row.what;
    EXPECT_EQ(target ? target->value() : 0, row.target) << row.what;
    EXPECT_EQ(target ? Errc::not_found : target.error().code(), Errc::not_found) << row.what;
  }
}

TEST(WayBack, WhereItLeadsNowhereALaterOneThatWasGoodIsOffered) {
  const auto step = [](const RollbackFacts& facts) {
    return std::string{rollback_target(facts, 0).error().next_step()};
  };
  EXPECT_THAT(step(history("ABC", 1, "")), HasSubstr("rollback --to 3"));
  EXPECT_THAT(step(history("ABC", 1, "C")), HasSubstr("rollback --to 2"));
  EXPECT_THAT(step(history("ABc", 1, "B")), HasSubstr("apply another document"));
}

TEST(WayBack, ANamedGenerationMustHaveBeenGoodAndMustChangeSomething) {
  const struct {
    std::uint64_t wanted;
    std::optional<Errc> refused;
  } rows[] = {{1, {}},
              {2, Errc::conflict},   // the same content
              {3, Errc::not_found},  // never good
              {4, Errc::conflict},   // it runs
              {5, {}},               // later, quarantined: whoever names it wants it
              {9, Errc::not_found}};
  for (const auto& row : rows) {
    const auto target = rollback_target(history("ABcBD", 4, "D"), row.wanted);
    ASSERT_EQ(target.has_value(), !row.refused) << row.wanted;
    if (target) continue;
    EXPECT_EQ(target.error().code(), *row.refused) << row.wanted;
    EXPECT_FALSE(target.error().next_step().empty()) << row.wanted;
  }
  EXPECT_THAT(rollback_target(history("ABcBD", 4), 2).error().what(),
              HasSubstr("the content of generation 2 runs already, as generation 4"));
}

TEST(WayBack, ListsEachOtherContentOnce) {
  const auto ways = ways_back(history("ABACaBb", 6, "C"));
  std::vector<std::uint64_t> ids;
  for (const auto& way : ways) ids.push_back(way.id.value());
  EXPECT_THAT(ids, ElementsAre(4, 3)) << "quarantined ones too, for who names them";
}

Progress rolling(std::uint64_t from, std::uint64_t target, Phase phase,
                 Trigger trigger = Trigger::apply) {
  Progress progress;
  progress.current = GenerationId{from};
  progress = begin_rollout(progress, GenerationId{target}, trigger, "test", "", {});
  progress.rollout->phase = phase;
  return progress;
}

TEST(WayBack, ARolloutThatHasBegunIsTurnedBackToWhatItCameFrom) {
  // B was rolled back from and released: the newest earlier content is not where C came from.
  const auto facts = history("ABc", 3);
  for (const auto wanted : {0U, 1U}) {
    const auto choice = choose_rollback(rolling(1, 3, Phase::soaking), facts, wanted);
    ASSERT_TRUE(choice);
    EXPECT_EQ(choice->target, GenerationId{1});
    EXPECT_TRUE(choice->turns_back);
  }
  EXPECT_EQ(choose_rollback(rolling(1, 3, Phase::soaking), facts, 2).error().code(), Errc::busy);
  EXPECT_EQ(
      choose_rollback(rolling(2, 1, Phase::soaking, Trigger::rollback), facts, 0).error().code(),
      Errc::busy);
  EXPECT_EQ(choose_rollback(rolling(0, 1, Phase::starting), history("a", 1), 0).error().code(),
            Errc::not_found);
}

TEST(WayBack, ARolloutThatWaitsForAHoldOrAWindowGivesWay) {
  const auto choice = choose_rollback(rolling(3, 4, Phase::waiting), history("ABBc", 3), 0);
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->target, GenerationId{1});
  EXPECT_FALSE(choice->turns_back);
}

TEST(WayBack, ToANumberGoesPastWhatIsStillFetched) {
  Progress progress;
  progress.current = GenerationId{2};
  progress = begin_rollout(progress, GenerationId{3}, Trigger::apply, "root", "", BootTime{});
  const auto facts = history("ABc", 2);
  const auto named = choose_rollback(progress, facts, 1);
  ASSERT_TRUE(named) << named.error().to_string();
  EXPECT_EQ(named->target, GenerationId{1});
  EXPECT_FALSE(named->turns_back);
  const auto plain = choose_rollback(progress, facts, 0);
  ASSERT_TRUE(plain);
  EXPECT_TRUE(plain->turns_back);
  const auto back = choose_rollback(progress, facts, 2);
  ASSERT_TRUE(back);
  EXPECT_TRUE(back->turns_back);
  progress.rollout->phase = Phase::checking;
  progress.rollout->fresh.emplace(ServiceName{"web"}, InstanceId{"web-3"});
  const auto begun = choose_rollback(progress, facts, 1);
  ASSERT_FALSE(begun);
  EXPECT_EQ(begun.error().code(), Errc::busy);
  EXPECT_THAT(begun.error().next_step(), HasSubstr("holdfast rollback"));
}

}  // namespace
}  // namespace holdfast::test
