#include "deploy/trust/verification.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proto/digest.hpp"
#include "tests/support/signer.hpp"

namespace holdfast::deploy::trust {
namespace {

using namespace std::chrono_literals;
using proto::trust::kDeploymentType;
using proto::trust::kRootType;
using proto::trust::Root;
using test::check_signatures;
using test::signed_by;
using test::Signer;
using testing::ElementsAre;
using testing::HasSubstr;

WallTime at(const char* time) { return *parse_rfc3339(time); }

const WallTime kNow = at("2026-11-30T12:00:00Z");
constexpr std::uint64_t kSerial = 42;

struct Text {
  std::string name = "shop";
  std::string serial = "serial: 42\n";
  std::string issued = "issued: 2026-11-30T11:00:00Z\n";
  std::string expires = "expires: 2026-12-30T00:00:00Z\n";
  std::string targets = {};
  std::string rest = "services: {}\n";
  [[nodiscard]] std::string str() const {
    return "apiVersion: holdfast/v1\nname: " + name + "\n" + serial + issued + expires + targets +
           rest;
  }
};

class Verification : public testing::Test {
 protected:
  [[nodiscard]] Root root(std::uint32_t threshold = 1) const {
    return {.deployment = "shop",
            .version = 1,
            .expires = kNow + 24h * 30,
            .root = {{boss_.key(), deputy_.key()}, 2},
            .signers = {{ci_.key(), human_.key()}, threshold}};
  }
  [[nodiscard]] std::string document(const Text& text = {}) const {
    return signed_by({&ci_}, kDeploymentType, text.str());
  }
  [[nodiscard]] Result<AcceptedDocument> verify(const std::string& text) const {
    return verify_document(root(), floor_, host_, text, check_signatures);
  }
  [[nodiscard]] Errc refusal(const std::string& text) const {
    const auto judged = verify(text);
    EXPECT_FALSE(judged) << "accepted";
    return judged ? Errc::internal : judged.error().code();
  }
  [[nodiscard]] Errc refusal(const Text& text) const { return refusal(document(text)); }
  /// What is accepted now, and from then on the floor.
  void accept(const Text& text) {
    const auto judged = verify(document(text));
    ASSERT_TRUE(judged) << judged.error().to_string();
    floor_ = raise(floor_, *judged);
  }

  Signer boss_, deputy_, ci_, stranger_;
  Signer human_{crypto::SignatureAlgorithm::ecdsa_p256};
  Floor floor_;
  HostFacts host_{kNow, {{"host", "web-1"}, {"role", "web"}}};
};

TEST_F(Verification, AcceptsWhatIsSignedNewAndForThisHost) {
  const auto judged = verify(document());
  ASSERT_TRUE(judged) << judged.error().to_string();
  EXPECT_EQ(judged->yaml, Text{}.str());
  EXPECT_EQ(judged->document, proto::Digest::of(Text{}.str()).hex());
  EXPECT_EQ(judged->content, proto::load_deployment(Text{}.str(), "t")->spec_digest.str());
  EXPECT_EQ(judged->serial, kSerial);
  EXPECT_EQ(judged->issued, at("2026-11-30T11:00:00Z"));
  EXPECT_EQ(judged->expires, at("2026-12-30T00:00:00Z"));
  EXPECT_EQ(judged->novelty, Novelty::content);
  EXPECT_THAT(judged->signers, ElementsAre(ci_.key()));
}

TEST_F(Verification, TakesEcdsaAsWellAsEd25519) {
  EXPECT_TRUE(verify(signed_by({&human_}, kDeploymentType, Text{}.str())));
}

TEST_F(Verification, CountsDifferentKeysAndNothingElse) {
  const auto judge = [&](const std::vector<const Signer*>& signers) {
    return verify_document(root(2), floor_, host_,
                           signed_by(signers, kDeploymentType, Text{}.str()), check_signatures);
  };
  EXPECT_TRUE(judge({&ci_, &human_}));
  EXPECT_TRUE(judge({&stranger_, &human_, &ci_})) << "a signature too many does no harm";
  EXPECT_EQ(judge({&ci_}).error().code(), Errc::spec_threshold);
  EXPECT_EQ(judge({&ci_, &ci_}).error().code(), Errc::spec_threshold) << "one key twice";
  EXPECT_EQ(judge({&ci_, &stranger_}).error().code(), Errc::spec_threshold);
  EXPECT_EQ(judge({&ci_, &boss_}).error().code(), Errc::spec_threshold) << "a key of another role";
}

TEST_F(Verification, AKeyIdIsAHint) {
  auto envelope = *proto::trust::read_envelope(document());
  envelope.signatures[0].key_id.clear();
  EXPECT_TRUE(verify(write_envelope(envelope))) << "none: each key is tried";
  envelope.signatures[0].key_id = human_.key().id();
  EXPECT_EQ(refusal(write_envelope(envelope)), Errc::spec_threshold) << "another key's";
  envelope = *proto::trust::read_envelope(signed_by({&stranger_}, kDeploymentType, Text{}.str()));
  envelope.signatures[0].key_id = ci_.key().id();
  EXPECT_EQ(refusal(write_envelope(envelope)), Errc::spec_threshold) << "a name makes no signer";
  envelope.signatures[0].key_id.clear();
  EXPECT_EQ(refusal(write_envelope(envelope)), Errc::spec_threshold);
}

TEST_F(Verification, RefusesWhatIsNoSignedDocument) {
  EXPECT_EQ(refusal(Text{}.str()), Errc::sig_missing);
  EXPECT_EQ(refusal("<html>log in</html>"), Errc::sig_invalid);
  EXPECT_EQ(refusal(document().substr(0, 200)), Errc::sig_invalid) << "cut off";
  EXPECT_EQ(refusal(signed_by({&ci_}, "text/plain", Text{}.str())), Errc::sig_invalid);
  EXPECT_EQ(refusal(signed_by({&ci_}, kRootType, Text{}.str())), Errc::sig_invalid);
}

TEST_F(Verification, RefusesEveryChangedByte) {
  const auto good = *proto::trust::read_envelope(document());
  for (std::size_t i = 0; i < good.payload.size(); ++i) {
    auto changed = good;
    changed.payload[i] = static_cast<char>(changed.payload[i] ^ 1);
    EXPECT_EQ(refusal(write_envelope(changed)), Errc::spec_threshold) << i;
  }
}

TEST_F(Verification, ReadsNothingBeforeTheSignaturesWereCounted) {
  EXPECT_EQ(refusal(signed_by({&stranger_}, kDeploymentType, "not: [yaml")), Errc::spec_threshold);
  EXPECT_EQ(refusal(signed_by({&ci_}, kDeploymentType, "not: [yaml")), Errc::spec_parse);
}

TEST_F(Verification, WantsWhatASignedDocumentMustHave) {
  for (const auto member : {&Text::serial, &Text::issued, &Text::expires}) {
    Text text;
    text.*member = "";
    const auto judged = verify(document(text));
    ASSERT_FALSE(judged);
    EXPECT_EQ(judged.error().code(), Errc::spec_parse);
    EXPECT_THAT(judged.error().what(), HasSubstr("has no `"));
  }
}

TEST_F(Verification, IsForThisDeploymentAndTheseHosts) {
  EXPECT_EQ(refusal(Text{.name = "other"}), Errc::spec_target);
  EXPECT_TRUE(verify(document({.targets = "targets: {host: web-1, role: web}\n"})));
  EXPECT_EQ(refusal(Text{.targets = "targets: {host: web-2}\n"}), Errc::spec_target);
  EXPECT_EQ(refusal(Text{.targets = "targets: {host: web-1, role: db}\n"}), Errc::spec_target);
  EXPECT_EQ(refusal(Text{.targets = "targets: {region: eu}\n"}), Errc::spec_target);
}

TEST_F(Verification, SerialsOnlyGrow) {
  accept({});
  EXPECT_EQ(refusal(Text{.serial = "serial: 41\n"}), Errc::spec_rollback);
  EXPECT_EQ(verify(document())->novelty, Novelty::repeated);
  EXPECT_EQ(refusal(Text{.rest = "services: {}\npolicy: {images: {require_semver_tag: true}}\n"}),
            Errc::spec_equivocation);
  EXPECT_EQ(refusal(Text{.issued = "issued: 2026-11-30T11:00:01Z\n"}), Errc::spec_equivocation)
      << "also where only the frame differs";
  EXPECT_TRUE(verify(document({.serial = "serial: 43\n"})));
}

TEST_F(Verification, TheSameContentUnderALaterSerialIsARefresh) {
  accept({});
  EXPECT_EQ(
      verify(document({.serial = "serial: 43\n", .expires = "expires: 2027-01-30T00:00:00Z\n"}))
          ->novelty,
      Novelty::refresh);
  EXPECT_EQ(
      verify(document({.serial = "serial: 43\n",
                       .rest = "services: {}\npolicy: {images: {require_semver_tag: true}}\n"}))
          ->novelty,
      Novelty::content);
}

TEST_F(Verification, SerialsDoNotJump) {
  accept({});
  const auto most = kSerial + kLongestJump;
  EXPECT_TRUE(verify(document({.serial = "serial: " + std::to_string(most) + "\n"})));
  EXPECT_EQ(refusal(Text{.serial = "serial: " + std::to_string(most + 1) + "\n"}), Errc::policy);
  EXPECT_EQ(refusal(Text{.serial = "serial: 9223372036854775808\n"}), Errc::spec_parse);
  EXPECT_TRUE(verify(document({.serial = "serial: 43\n"}))) << "the next one still works";
}

TEST_F(Verification, TheFirstSerialMayBeADate) {
  accept({.serial = "serial: 20261130124500\n"});
  EXPECT_EQ(floor_.serial, 20261130124500U);
  EXPECT_TRUE(verify(document({.serial = "serial: 20261130235900\n"})));
}

TEST_F(Verification, ExpiryBlocksTheNewAndNotWhatIsHere) {
  host_.now = at("2026-12-29T23:59:59Z");
  accept({});
  host_.now = at("2026-12-30T00:00:00Z");
  EXPECT_EQ(refusal(Text{.serial = "serial: 43\n"}), Errc::spec_expired);
  EXPECT_EQ(verify(document())->novelty, Novelty::repeated);
}

TEST_F(Verification, AnExpiredRootBlocksTheNewAndNotWhatIsHere) {
  accept({});
  host_.now = root().expires - 1ms;
  const Text next{.serial = "serial: 43\n", .expires = "expires: 2028-01-01T00:00:00Z\n"};
  EXPECT_TRUE(verify(document(next)));
  host_.now = root().expires;
  const auto judged = verify(document(next));
  ASSERT_FALSE(judged);
  EXPECT_EQ(judged.error().code(), Errc::spec_expired);
  EXPECT_THAT(judged.error().what(), HasSubstr("root of trust"));
  EXPECT_EQ(verify(document())->novelty, Novelty::repeated);
}

TEST_F(Verification, TimeNeverRunsBelowTheLastAcceptedDocument) {
  accept({.issued = "issued: 2026-11-30T11:00:00Z\n"});
  host_.now = at("2020-01-01T00:00:00Z");
  const Text stale{.serial = "serial: 43\n",
                   .issued = "issued: 2026-11-01T00:00:00Z\n",
                   .expires = "expires: 2026-11-30T11:00:00Z\n"};
  EXPECT_EQ(refusal(stale), Errc::spec_expired) << "a clock set back brings nothing to life";
  auto alive = stale;
  alive.expires = "expires: 2026-11-30T11:00:01Z\n";
  EXPECT_TRUE(verify(document(alive)));
}

TEST_F(Verification, WhatWasIssuedInTheFutureIsRefused) {
  EXPECT_TRUE(verify(document({.issued = "issued: 2026-12-01T12:00:00Z\n"})));
  EXPECT_EQ(refusal(Text{.issued = "issued: 2026-12-01T12:00:01Z\n"}), Errc::host);
}

TEST_F(Verification, TheFloorRisesAndNeverSinks) {
  const Floor before{.serial = 50,
                     .document = "d",
                     .content = "c",
                     .time = at("2026-11-30T11:30:00Z"),
                     .expires = at("2026-12-01T00:00:00Z")};
  auto accepted = *verify(document());
  EXPECT_EQ(raise(before, accepted), before) << "serial 42";
  accepted.serial = 51;
  const auto after = raise(before, accepted);
  EXPECT_EQ(after.serial, 51U);
  EXPECT_EQ(after.document, accepted.document);
  EXPECT_EQ(after.content, accepted.content);
  EXPECT_EQ(after.expires, accepted.expires);
  EXPECT_EQ(after.time, before.time) << "issued earlier";
  accepted.issued = before.time + 1s;
  EXPECT_EQ(raise(before, accepted).time, before.time + 1s);
}

TEST_F(Verification, WhoCannotCheckSignaturesAcceptsNothing) {
  const CheckSignatures broken = [](auto, const auto&) -> Result<std::vector<bool>> {
    return Error{Errc::io, "no child"};
  };
  const CheckSignatures short_answer = [](auto, const auto&) -> Result<std::vector<bool>> {
    return std::vector<bool>{};
  };
  for (const auto& [check, code] : {std::pair{broken, Errc::io}, {short_answer, Errc::internal}}) {
    EXPECT_EQ(verify_document(root(), floor_, host_, document(), check).error().code(), code);
    const auto text = signed_by({&boss_, &deputy_}, kRootType, write_root(root()));
    EXPECT_EQ(verify_first_root(text, check).error().code(), code);
    EXPECT_EQ(verify_next_root(root(), text, check).error().code(), code);
  }
}

class RootRotation : public Verification {
 protected:
  [[nodiscard]] static std::string by(const std::vector<const Signer*>& signers, const Root& root) {
    return signed_by(signers, kRootType, write_root(root));
  }
  [[nodiscard]] static Errc refusal_of(const Root& current, const std::string& text) {
    const auto judged = verify_next_root(current, text, check_signatures);
    EXPECT_FALSE(judged);
    return judged ? Errc::internal : judged.error().code();
  }
  /// The next version, where `heir_` takes the place of `deputy_`.
  [[nodiscard]] Root next() const {
    auto root = this->root();
    root.version = 2;
    root.root = {{boss_.key(), heir_.key()}, 2};
    return root;
  }
  Signer heir_;
};

TEST_F(RootRotation, TheFirstRootIsSignedByItsOwnKeys) {
  const auto first = verify_first_root(by({&boss_, &deputy_}, root()), check_signatures);
  ASSERT_TRUE(first) << first.error().to_string();
  EXPECT_EQ(*first, root());
  for (const auto& signers : {std::vector<const Signer*>{&boss_}, {&boss_, &ci_}, {&boss_, &boss_}})
    EXPECT_EQ(verify_first_root(by(signers, root()), check_signatures).error().code(),
              Errc::spec_threshold);
  EXPECT_EQ(verify_first_root(document(), check_signatures).error().code(), Errc::sig_invalid);
  EXPECT_EQ(
      verify_first_root(signed_by({&boss_}, kRootType, "{}"), check_signatures).error().code(),
      Errc::spec_parse);
}

TEST_F(RootRotation, TheNextVersionIsSignedByTheOldKeysAndTheNew) {
  const auto changed =
      verify_next_root(root(), by({&boss_, &deputy_, &heir_}, next()), check_signatures);
  ASSERT_TRUE(changed) << changed.error().to_string();
  EXPECT_EQ(*changed, next());
  EXPECT_EQ(refusal_of(root(), by({&boss_, &heir_}, next())), Errc::spec_threshold)
      << "the new alone";
  EXPECT_EQ(refusal_of(root(), by({&boss_, &deputy_}, next())), Errc::spec_threshold)
      << "the old alone";
  EXPECT_EQ(refusal_of(root(), by({&ci_, &human_}, next())), Errc::spec_threshold)
      << "those who sign deployments";
}

TEST_F(RootRotation, VersionsComeOneAfterTheOther) {
  for (const std::uint64_t version : {1U, 3U}) {
    auto other = next();
    other.version = version;
    EXPECT_EQ(refusal_of(root(), by({&boss_, &deputy_, &heir_}, other)), Errc::spec_rollback);
  }
}

TEST_F(RootRotation, ARootOfAnotherDeploymentIsNotTheNext) {
  auto other = next();
  other.deployment = "other";
  EXPECT_EQ(refusal_of(root(), by({&boss_, &deputy_, &heir_}, other)), Errc::spec_target);
}

TEST_F(RootRotation, WhatIsNoRootIsRefused) {
  EXPECT_EQ(refusal_of(root(), document()), Errc::sig_invalid);
  EXPECT_EQ(refusal_of(root(), "<html>"), Errc::sig_invalid);
  EXPECT_EQ(refusal_of(root(), signed_by({&boss_, &deputy_}, kRootType, "{}")), Errc::spec_parse);
}

TEST_F(RootRotation, OfAChainOnlyTheLastExpiryCounts) {
  auto current = root();
  current.expires = kNow - 24h * 400;
  for (std::uint64_t version = 2; version <= 6; ++version) {
    auto one = root();
    one.version = version;
    one.expires = version == 6 ? kNow + 1h : kNow - 1h;
    const auto judged = verify_next_root(current, by({&boss_, &deputy_}, one), check_signatures);
    ASSERT_TRUE(judged) << judged.error().to_string();
    current = *judged;
  }
  EXPECT_TRUE(verify_document(current, floor_, host_, document(), check_signatures));
}

TEST_F(RootRotation, ARemovedSignerCountsNoMore) {
  auto without = next();
  without.signers = {{human_.key()}, 1};
  EXPECT_EQ(verify_document(without, floor_, host_, document(), check_signatures).error().code(),
            Errc::spec_threshold);
}

}  // namespace
}  // namespace holdfast::deploy::trust
