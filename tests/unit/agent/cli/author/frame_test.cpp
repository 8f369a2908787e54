#include "agent/cli/author/frame.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/cli/author/signing.hpp"
#include "tests/support/signer.hpp"

namespace holdfast::agent::cli {
namespace {

using testing::HasSubstr;

const Frame kFrame{.serial = 42,
                   .issued = *parse_rfc3339("2026-11-30T12:00:00Z"),
                   .expires = *parse_rfc3339("2026-12-30T12:00:00Z")};
constexpr auto kLines =
    "serial: 42\nissued: 2026-11-30T12:00:00.000Z\nexpires: 2026-12-30T12:00:00.000Z\n";

TEST(Frame, ComesAtTheEndAndLeavesEverythingElse) {
  const std::string yaml =
      "# the shop\napiVersion: holdfast/v1\nname: shop   # short\n\nservices: {}\n";
  EXPECT_EQ(*framed(yaml, kFrame), yaml + kLines);
  EXPECT_EQ(*framed("apiVersion: holdfast/v1\nname: shop\nservices: {}", kFrame),
            std::string{"apiVersion: holdfast/v1\nname: shop\nservices: {}\n"} + kLines);
}

TEST(Frame, TakesThePlaceOfItsOwnLinesOnly) {
  EXPECT_EQ(
      *framed("apiVersion: holdfast/v1\nserial: 7\nname: shop\nexpires: 2026-12-01T00:00:00Z\n"
              "services: {}\nissued: 2026-11-01T00:00:00Z\n",
              kFrame),
      "apiVersion: holdfast/v1\nserial: 42\nname: shop\nexpires: 2026-12-30T12:00:00.000Z\n"
      "services: {}\nissued: 2026-11-30T12:00:00.000Z\n");
}

TEST(Frame, RefusesWhatItCannotWriteInto) {
  const auto flow = framed("{apiVersion: holdfast/v1, name: shop, services: {}}", kFrame);
  ASSERT_FALSE(flow);
  EXPECT_THAT(flow.error().next_step(), HasSubstr("block style"));
  EXPECT_EQ(framed("nonsense: true\n", kFrame).error().code(), Errc::spec_parse);
}

TEST(Frame, ASignatureOfTheSameKeyIsReplaced) {
  const auto key = *crypto::PrivateKey::generate(crypto::SignatureAlgorithm::ed25519);
  const auto other = *crypto::PrivateKey::generate(crypto::SignatureAlgorithm::ecdsa_p256);
  proto::trust::Envelope envelope{"t", "p", {}};
  ASSERT_TRUE(add_signature(envelope, key));
  ASSERT_TRUE(add_signature(envelope, other));
  ASSERT_TRUE(add_signature(envelope, key));
  EXPECT_EQ(envelope.signatures.size(), 2U);
  const test::Signer one;
  while (envelope.signatures.size() < proto::trust::kMostSignatures)
    envelope.signatures.push_back(one.sign("t", "p"));
  EXPECT_EQ(
      add_signature(envelope, *crypto::PrivateKey::generate(crypto::SignatureAlgorithm::ed25519))
          .error()
          .code(),
      Errc::too_large);
}

}  // namespace
}  // namespace holdfast::agent::cli
