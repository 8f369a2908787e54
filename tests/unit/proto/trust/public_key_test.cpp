#include "proto/trust/public_key.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/signer.hpp"

namespace holdfast::proto::trust {
namespace {

using crypto::SignatureAlgorithm;
using testing::HasSubstr;

TEST(PublicKey, IsReadFromPemAndGivenBack) {
  for (const auto algorithm : {SignatureAlgorithm::ecdsa_p256, SignatureAlgorithm::ed25519}) {
    const auto key = test::Signer{algorithm}.key();
    EXPECT_EQ(*PublicKey::from_pem(key.pem()), key);
    EXPECT_EQ(*PublicKey::from_pem("\n" + key.pem() + "\n\n"), key);
    EXPECT_EQ(to_string(key.algorithm()),
              algorithm == SignatureAlgorithm::ed25519 ? "ed25519" : "ecdsa-p256");
    EXPECT_EQ(key.id().size(), 64U);
    EXPECT_EQ(key.short_id(), key.id().substr(0, 12));
  }
}

TEST(PublicKey, OpenSslPrintsItsId) {
  const auto key = PublicKey::from_pem(R"(-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=
-----END PUBLIC KEY-----
)");
  ASSERT_TRUE(key) << key.error().to_string();
  EXPECT_EQ(key->id(), "deb2ded39dc26fce0e6085b6fc34bf6b5941913bbfe2ea614113cff9e004c170");
}

TEST(PublicKey, TwoKeysDiffer) {
  EXPECT_NE(test::Signer{}.key(), test::Signer{}.key());
  EXPECT_NE(test::Signer{}.key() <=> test::Signer{}.key(), std::strong_ordering::equal);
}

TEST(PublicKey, RefusesEveryOtherText) {
  const auto pem = test::Signer{}.key().pem();
  const auto without = [&](std::size_t from, std::size_t count) {
    auto text = pem;
    return text.erase(from, count);
  };
  for (const auto& text :
       {std::string{}, std::string{"-----BEGIN PUBLIC KEY-----"}, without(0, 1), without(30, 4),
        without(30, 1), "x" + pem, pem + "x", pem + pem,
        std::string{"-----BEGIN PUBLIC KEY-----\n*\n-----END PUBLIC KEY-----\n"},
        std::string{"-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n"}})
    EXPECT_EQ(PublicKey::from_pem(text).error().code(), Errc::usage) << text;
}

TEST(PublicKey, HasOneEncodingSoThatOneKeyHasOneId) {
  const auto p256 = test::Signer{SignatureAlgorithm::ecdsa_p256}.key().spki();
  auto compressed = p256;  // the same point, another spelling: 0x02 or 0x03 and half of it
  compressed[1] = 0x39;
  compressed[24] = 0x22;
  compressed[26] = 0x02;
  compressed.resize(59);
  auto other_curve = p256;
  other_curve[20] = 0x06;
  for (const auto& spki : {compressed, other_curve, p256 + '\0', p256.substr(0, 90), std::string{}})
    EXPECT_THAT(PublicKey::from_spki(spki).error().what(), HasSubstr("no ECDSA P-256 or Ed25519"));
}

}  // namespace
}  // namespace holdfast::proto::trust
