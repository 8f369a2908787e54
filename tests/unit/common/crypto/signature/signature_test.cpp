#include "common/crypto/signature/signature.hpp"

#include <gtest/gtest.h>

#include "common/base/base64.hpp"

namespace holdfast::crypto {
namespace {

using enum SignatureAlgorithm;

class SignatureTest : public testing::TestWithParam<SignatureAlgorithm> {
 protected:
  PrivateKey key_ = *PrivateKey::generate(GetParam());
  std::string spki_ = *key_.public_key();
};
INSTANTIATE_TEST_SUITE_P(EachAlgorithm, SignatureTest, testing::Values(ecdsa_p256, ed25519));

TEST_P(SignatureTest, HoldsForItsMessageAndKeyOnly) {
  const auto signature = *key_.sign("message");
  EXPECT_TRUE(verify_signature(spki_, "message", signature));
  EXPECT_FALSE(verify_signature(spki_, "Message", signature));
  EXPECT_FALSE(verify_signature(spki_, "", signature));
  const auto other = *PrivateKey::generate(GetParam());
  EXPECT_FALSE(verify_signature(*other.public_key(), "message", signature));
}

TEST_P(SignatureTest, DoesNotHoldWithAnyByteChangedAddedOrTakenAway) {
  const auto signature = *key_.sign("message");
  for (std::size_t i = 0; i < signature.size(); ++i) {
    auto changed = signature;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_FALSE(verify_signature(spki_, "message", changed)) << i;
  }
  EXPECT_FALSE(verify_signature(spki_, "message", signature + '\0'));
  EXPECT_FALSE(verify_signature(spki_, "message", signature.substr(1)));
  EXPECT_FALSE(verify_signature(spki_, "message", ""));
}

TEST_P(SignatureTest, KeysComeBackFromTheirTextWithAndWithoutAPassphrase) {
  for (const auto* passphrase : {"", "correct horse"}) {
    const auto text = *key_.pem(passphrase);
    EXPECT_EQ(text.find("ENCRYPTED") != std::string::npos, *passphrase != '\0');
    const auto again = PrivateKey::read(text, passphrase);
    ASSERT_TRUE(again) << again.error().to_string();
    EXPECT_EQ(again->algorithm(), GetParam());
    EXPECT_EQ(*again->public_key(), spki_);
  }
}

TEST_P(SignatureTest, AnEncryptedKeyIsNotReadWithoutItsPassphrase) {
  const auto text = *key_.pem("secret");
  EXPECT_EQ(PrivateKey::read(text, "").error().code(), Errc::auth);
  EXPECT_EQ(PrivateKey::read(text, "other").error().code(), Errc::auth);
}

TEST(Signature, KnowsTheVectorOfRfc8032) {
  // Section 7.1, TEST 2: the message is the byte 72.
  const auto spki = *from_base64("MCowBQYDK2VwAyEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=");
  const auto signature = *from_base64(
      "kqAJqfDUyrhyDoILX2QlQKKye1QWUD+Ps3YiI+vbadoIWsHkPhWZbkWPNhPQ8R2MOHsurrQwKu6wDSkWErsMAA==");
  EXPECT_TRUE(verify_signature(spki, "\x72", signature));
  EXPECT_FALSE(verify_signature(spki, "\x73", signature));
}

TEST(Signature, KeysOfOtherAlgorithmsAndWhatIsNoKeyCheckNothing) {
  EXPECT_FALSE(verify_signature("", "m", "s"));
  EXPECT_FALSE(verify_signature("no key", "m", "s"));
  const auto key = *PrivateKey::generate(ed25519);
  EXPECT_FALSE(verify_signature(*key.public_key() + "x", "m", *key.sign("m"))) << "bytes after it";
  EXPECT_EQ(PrivateKey::read("no key", "").error().code(), Errc::usage);
}

TEST(Signature, AKeyOfAnotherCurveIsRefusedByName) {
  constexpr auto kP384 = R"(-----BEGIN EC PRIVATE KEY-----
MIGkAgEBBDBGSXvKZ2e6MhGPNHCdoiFpFdeZ9tDRsSRW1+sLDhQUp7nelDrXNRwW
YtKXM/GStOKgBwYFK4EEACKhZANiAAQAsZHmlLqk+kgBnOFL+7ajxnKTwQ7BN9XY
uJ1CvzD4HrtWP9zCNMXy6nxNx5KmQRb9DRUPo8xwfZB7bujd1CeYWOuObhdIcIYY
MBnrvY0Zhe8T9kAWO6Y/Ei/4Q8GanCo=
-----END EC PRIVATE KEY-----
)";
  const auto read = PrivateKey::read(kP384, "");
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().what().find("neither ECDSA P-256 nor Ed25519"), std::string::npos);
}

}  // namespace
}  // namespace holdfast::crypto
