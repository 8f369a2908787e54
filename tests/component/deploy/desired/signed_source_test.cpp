#include "deploy/desired/signed_source.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "common/os/environment.hpp"
#include "common/os/file.hpp"
#include "deploy/desired/signature_child.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/signer.hpp"

namespace holdfast::deploy::desired {
namespace {

using namespace std::chrono_literals;
using proto::trust::kDeploymentType;
using proto::trust::kRootType;
using proto::trust::Root;
using test::signed_by;
using test::Signer;
using testing::HasSubstr;

/// What a server would have.
struct Shelf {
  std::string document;
  std::map<std::uint64_t, std::string> roots;
  bool roots_answer = true;
  std::vector<Freshness> asked;
};

class ShelfOrigin final : public SignedOrigin {
 public:
  explicit ShelfOrigin(Shelf& shelf) : shelf_(shelf) {}
  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] int fd() const override { return -1; }
  [[nodiscard]] bool take_changes() override { return false; }
  [[nodiscard]] Result<SignedBytes> document(Freshness freshness, const std::stop_token&) override {
    shelf_.asked.push_back(freshness);
    if (shelf_.document.empty()) return Error{Errc::unreachable, "nobody answers"};
    if (freshness == Freshness::if_changed && shelf_.document == last_)
      return SignedBytes{.unchanged = true};
    last_ = shelf_.document;
    return SignedBytes{.text = shelf_.document};
  }
  [[nodiscard]] Result<std::string> root(std::uint64_t version, const std::stop_token&) override {
    if (!shelf_.roots_answer) return Error{Errc::unreachable, "nobody answers"};
    const auto found = shelf_.roots.find(version);
    if (found == shelf_.roots.end()) return Error{Errc::not_found, "no such root"};
    return found->second;
  }

 private:
  Shelf& shelf_;
  std::string last_;  ///< that was answered, as an ETag has it
  std::string name_ = "https://shelf/d.json";
};

class SignedSourceTest : public testing::Test {
 protected:
  void SetUp() override {
    clock_.set_wall(*parse_rfc3339("2026-11-30T12:00:00Z"));
    put_first_root(root(1));
  }
  [[nodiscard]] Root root(std::uint64_t version) const {
    return {.deployment = "shop",
            .version = version,
            .expires = clock_.wall() + 24h * 100,
            .root = {{boss_.key()}, 1},
            .signers = {{ci_.key()}, 1}};
  }
  void put_first_root(const Root& root) {
    ASSERT_TRUE(os::write_atomic(first_, signed_by({&boss_}, kRootType, write_root(root))));
  }
  /// Another life of the agent.
  void begin() {
    source_ = std::make_unique<SignedSource>(
        SignedSource::Parts{.origin = std::make_unique<ShelfOrigin>(shelf_),
                            .state = TrustFile{state_},
                            .first_root = first_,
                            .labels = {{"host", "web-1"}},
                            .clock = clock_,
                            .checker = [](std::stop_token) { return test::check_signatures; }});
  }
  void publish(std::uint64_t serial, const Signer& signer,
               const std::string& rest = "services: {}\n") {
    shelf_.document = signed_by(
        {&signer}, kDeploymentType,
        fmt::format(
            "apiVersion: holdfast/v1\nname: shop\nserial: {}\nissued: 2026-11-30T11:00:00Z\n"
            "expires: 2026-12-01T12:00:00Z\n{}",
            serial, rest));
  }
  Result<Candidate> read() { return source_->read({}); }
  Errc refusal() {
    const auto given = read();
    EXPECT_FALSE(given);
    return given ? Errc::internal : given.error().code();
  }

  test::FakeClock clock_;
  Signer boss_, ci_, heir_;
  os::TempDir dir_ = *os::TempDir::create("/var/lib", "holdfast-signed");
  std::filesystem::path state_ = dir_.path() / "trust.json";
  std::filesystem::path first_ = dir_.path() / "1.root.json";
  Shelf shelf_;
  std::unique_ptr<SignedSource> source_;
};

TEST_F(SignedSourceTest, GivesWhatIsAcceptedWithWhoSignedItAndRemembersItDurably) {
  begin();
  publish(5, ci_);
  const auto given = read();
  ASSERT_TRUE(given) << given.error().to_string();
  EXPECT_EQ(given->evidence.at("serial"), "5");
  EXPECT_EQ(given->evidence.at("root_version"), "1");
  EXPECT_EQ(given->evidence.at("signed_by"), ci_.key().short_id());
  EXPECT_EQ(TrustFile{state_}.read()->floor.serial, 5U);
  EXPECT_EQ(source_->trust()->serial, 5U);
  EXPECT_EQ(source_->trust()->root_version, 1U);
}

TEST_F(SignedSourceTest, AnotherLifeGivesTheSameAgainAndNothingOlder) {
  begin();
  publish(5, ci_);
  const auto first = read();
  begin();
  EXPECT_EQ(read()->sha256, first->sha256) << "killed before it took effect";
  publish(4, ci_);
  EXPECT_EQ(refusal(), Errc::spec_rollback);
  publish(5, ci_, "services: {}\n# other bytes\n");
  EXPECT_EQ(refusal(), Errc::spec_equivocation);
  EXPECT_EQ(TrustFile{state_}.read()->floor.serial, 5U);
}

TEST_F(SignedSourceTest, WhatCannotBeMadeDurableIsNotGiven) {
  begin();
  publish(5, ci_);
  ASSERT_TRUE(std::filesystem::create_directory(state_));  // nothing can be renamed over it
  EXPECT_FALSE(read());
  EXPECT_FALSE(read()) << "nor the second time";
  std::filesystem::remove(state_);
  EXPECT_TRUE(read());
}

TEST_F(SignedSourceTest, ADamagedStateAcceptsNothing) {
  ASSERT_TRUE(os::write_atomic(state_, "{\"serial\": 7}"));
  begin();
  publish(5, ci_);
  const auto given = read();
  ASSERT_FALSE(given);
  EXPECT_EQ(given.error().code(), Errc::ledger_corrupt);
  EXPECT_THAT(given.error().next_step(), HasSubstr("backup"));
}

TEST_F(SignedSourceTest, TheStateIsReadAsItWasWritten) {
  const TrustFile file{state_};
  EXPECT_EQ(*file.read(), TrustState{});
  const TrustState state{"root\n\"text\"",
                         {.serial = 1ULL << 53,
                          .document = std::string(64, 'a'),
                          .content = "sha256:" + std::string(64, 'b'),
                          .time = *parse_rfc3339("2026-11-30T12:00:00.123Z"),
                          .expires = *parse_rfc3339("2027-11-30T12:00:00Z")}};
  ASSERT_TRUE(file.write(state));
  EXPECT_EQ(*file.read(), state);
  ASSERT_TRUE(file.write(TrustState{"r", {}}));
  EXPECT_EQ(*file.read(), (TrustState{"r", {}}));
  for (const auto* damaged :
       {"", "{}", "[]",
        R"({"serial":1,"time":"2026-11-30T12:00:00Z","expires":"2026-11-30T12:00:00Z"})"}) {
    ASSERT_TRUE(os::write_atomic(state_, damaged));
    EXPECT_EQ(file.read().error().code(), Errc::ledger_corrupt) << damaged;
  }
}

TEST_F(SignedSourceTest, FollowsRootsOneByOneAndKeepsThemOverRestarts) {
  begin();
  publish(5, ci_);
  ASSERT_TRUE(read());
  auto next = root(2);
  next.signers = {{heir_.key()}, 1};
  next.expires = clock_.wall() - 1h;  // no matter: it is not the last
  shelf_.roots[2] = signed_by({&boss_}, kRootType, write_root(next));
  auto last = root(3);
  last.signers = {{heir_.key()}, 1};
  shelf_.roots[3] = signed_by({&boss_}, kRootType, write_root(last));
  publish(6, heir_);
  ASSERT_TRUE(read());
  EXPECT_EQ(source_->trust()->root_version, 3U);
  shelf_.roots.clear();
  begin();
  publish(7, heir_);
  EXPECT_TRUE(read());
  EXPECT_EQ(source_->trust()->root_version, 3U);
  publish(8, ci_);
  EXPECT_EQ(refusal(), Errc::spec_threshold) << "who signed before does not count any more";
}

TEST_F(SignedSourceTest, FollowsAThousandRootsAtOnceAndTheRestTheNextTime) {
  begin();
  constexpr std::uint64_t kLast = 1 + 1024 + 5;
  for (std::uint64_t version = 2; version <= kLast; ++version)
    shelf_.roots[version] = signed_by({&boss_}, kRootType, write_root(root(version)));
  publish(5, ci_);
  EXPECT_EQ(refusal(), Errc::too_large);
  EXPECT_EQ(source_->trust()->root_version, 1025U);
  ASSERT_TRUE(read());
  EXPECT_EQ(source_->trust()->root_version, kLast);
}

TEST_F(SignedSourceTest, ARootByNobodyThatCountsIsNotFollowed) {
  begin();
  shelf_.roots[2] = signed_by({&heir_}, kRootType, write_root(root(2)));
  publish(5, ci_);
  const auto given = read();
  ASSERT_FALSE(given);
  EXPECT_EQ(given.error().code(), Errc::spec_threshold);
  EXPECT_THAT(given.error().what(), HasSubstr("version 2 of the root of trust"));
  EXPECT_EQ(source_->trust()->root_version, 1U);
  shelf_.roots.clear();
  EXPECT_TRUE(read());
}

TEST_F(SignedSourceTest, ANewerRootPutThereByHandCounts) {
  begin();
  publish(5, ci_);
  ASSERT_TRUE(read());
  auto by_hand = root(4);
  by_hand.signers = {{heir_.key()}, 1};
  put_first_root(by_hand);
  begin();
  publish(6, heir_);
  EXPECT_TRUE(read());
  EXPECT_EQ(source_->trust()->root_version, 4U);
  EXPECT_EQ(source_->trust()->serial, 6U);
  put_first_root(root(1));
  begin();
  publish(7, heir_);
  EXPECT_TRUE(read()) << "an older one does not";
}

TEST_F(SignedSourceTest, SerialsOfAnotherDeploymentSayNothing) {
  begin();
  publish(500, ci_);
  ASSERT_TRUE(read());
  auto other = root(1);
  other.deployment = "other";
  put_first_root(other);
  begin();
  shelf_.document =
      signed_by({&ci_}, kDeploymentType,
                "apiVersion: holdfast/v1\nname: other\nserial: 1\nissued: "
                "2026-11-30T11:30:00Z\nexpires: 2026-12-01T12:00:00Z\nservices: {}\n");
  const auto given = read();
  ASSERT_TRUE(given) << given.error().to_string();
  EXPECT_EQ(source_->trust()->serial, 1U);
}

TEST_F(SignedSourceTest, WithoutARootItSaysWhatIsMissing) {
  std::filesystem::remove(first_);
  begin();
  publish(5, ci_);
  const auto given = read();
  ASSERT_FALSE(given);
  EXPECT_EQ(given.error().code(), Errc::host);
  EXPECT_THAT(given.error().what(), HasSubstr("1.root.json"));
}

TEST_F(SignedSourceTest, AsksForChangesOnlyWhileWhatItHasStands) {
  begin();
  publish(5, ci_);
  const auto first = read();
  EXPECT_EQ(read()->sha256, first->sha256);
  EXPECT_EQ(shelf_.asked, (std::vector{Freshness::any, Freshness::if_changed}));
  publish(4, ci_);
  EXPECT_EQ(refusal(), Errc::spec_rollback);
  shelf_.asked.clear();
  EXPECT_EQ(refusal(), Errc::spec_rollback);
  EXPECT_EQ(shelf_.asked, std::vector{Freshness::any}) << "what was refused is judged again";
  publish(5, ci_);
  ASSERT_TRUE(read());
  clock_.set_wall(*parse_rfc3339("2026-12-02T00:00:00Z"));
  shelf_.asked.clear();
  ASSERT_TRUE(read());
  EXPECT_EQ(shelf_.asked, std::vector{Freshness::any}) << "its time is over";
}

TEST_F(SignedSourceTest, ARevokedKeyCountsNoMoreThoughTheDocumentStaysTheSame) {
  for (const bool asked : {false, true}) {
    begin();
    publish(5, ci_);
    ASSERT_TRUE(read());
    auto next = root(source_->trust()->root_version + 1);
    next.signers = {{heir_.key()}, 1};
    shelf_.roots[next.version] = signed_by({&boss_}, kRootType, write_root(next));
    EXPECT_TRUE(read()) << "not asked for at each poll";
    if (asked) {
      source_->ask_for_all();
    } else {
      clock_.advance(1h);
    }
    EXPECT_EQ(refusal(), Errc::spec_threshold);
    EXPECT_EQ(source_->trust()->root_version, next.version);
    std::filesystem::remove(state_);
    shelf_.roots.clear();
  }
}

TEST_F(SignedSourceTest, AnUpdateIsNotLostWhereARootCannotBeHad) {
  begin();
  publish(5, ci_);
  ASSERT_TRUE(read());
  publish(6, ci_);
  shelf_.roots_answer = false;
  EXPECT_EQ(refusal(), Errc::unreachable);
  EXPECT_EQ(refusal(), Errc::unreachable)
      << "what was given before is not the last answer any more";
  shelf_.roots_answer = true;
  const auto given = read();
  ASSERT_TRUE(given) << given.error().to_string();
  EXPECT_EQ(given->evidence.at("serial"), "6");
}

TEST_F(SignedSourceTest, WhoAskedForRootsIsAnsweredAlsoAfterAFailure) {
  begin();
  publish(5, ci_);
  ASSERT_TRUE(read());
  source_->ask_for_all();
  shelf_.roots_answer = false;
  EXPECT_EQ(refusal(), Errc::unreachable);
  shelf_.roots_answer = true;
  auto next = root(2);
  next.signers = {{heir_.key()}, 1};
  shelf_.roots[2] = signed_by({&boss_}, kRootType, write_root(next));
  EXPECT_EQ(refusal(), Errc::spec_threshold);
}

TEST_F(SignedSourceTest, AnUnreachableSourceTakesNothingAway) {
  begin();
  publish(5, ci_);
  ASSERT_TRUE(read());
  shelf_.document.clear();
  EXPECT_EQ(refusal(), Errc::unreachable);
  EXPECT_EQ(source_->trust()->serial, 5U);
}

TEST(SignatureChild, SaysWhichSignaturesAreGood) {
  const Signer one, two{crypto::SignatureAlgorithm::ecdsa_p256};
  const auto signature = [](const Signer& signer) { return signer.sign("t", "p").bytes; };
  const auto check =
      check_in_child(os::environment("HOLDFAST_BIN").value_or("bin") + "/holdfast-worker", {});
  const auto valid = check(proto::trust::pae("t", "p"), {{one.key(), signature(one)},
                                                         {two.key(), signature(two)},
                                                         {one.key(), signature(two)},
                                                         {two.key(), ""}});
  ASSERT_TRUE(valid) << valid.error().to_string();
  EXPECT_EQ(*valid, (std::vector{true, true, false, false}));
}

TEST(SignatureChild, TakesAMebibyte) {
  const Signer one;
  const std::string payload(1U << 20, 'p');
  const auto check =
      check_in_child(os::environment("HOLDFAST_BIN").value_or("bin") + "/holdfast-worker", {});
  const auto valid =
      check(proto::trust::pae("t", payload), {{one.key(), one.sign("t", payload).bytes}});
  ASSERT_TRUE(valid) << valid.error().to_string();
  EXPECT_TRUE(valid->front());
}

TEST(SignatureChild, ThatIsNotThereIsAnErrorAndNoVerdict) {
  const auto check = check_in_child("/nowhere/holdfast-worker", {});
  EXPECT_FALSE(check("m", {{Signer{}.key(), "s"}}));
}

}  // namespace
}  // namespace holdfast::deploy::desired
