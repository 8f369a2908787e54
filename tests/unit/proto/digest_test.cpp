#include "proto/digest.hpp"

#include <gtest/gtest.h>

#include <string>

namespace holdfast::proto {
namespace {

const std::string kHex(64, 'a');

TEST(Digest, ParsesTheOneSupportedForm) {
  const auto digest = Digest::parse("sha256:" + kHex);
  ASSERT_TRUE(digest);
  EXPECT_EQ(digest->hex(), kHex);
  EXPECT_EQ(digest->str(), "sha256:" + kHex);
  EXPECT_EQ(digest->short_hex(), "aaaaaaaaaaaa");
}

TEST(Digest, OfBytesIsTheirSha256) {
  EXPECT_EQ(Digest::of("").hex(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Digest::of("{}").hex(),
            "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
}

TEST(Digest, NamesTheAlgorithmItDoesNotSupport) {
  for (const std::string name : {"sha512", "blake3", "md5", "sha384"}) {
    const auto digest = Digest::parse(name + ":" + kHex);
    ASSERT_FALSE(digest) << name;
    EXPECT_EQ(digest.error().code(), Errc::digest_unsupported);
    EXPECT_NE(digest.error().what().find(name), std::string::npos);
  }
}

TEST(Digest, RefusesEverythingThatCouldLeaveAPath) {
  const std::string bad[] = {"",
                             "sha256",
                             "sha256:",
                             ":" + kHex,
                             kHex,
                             "sha256:../../../../tmp/x",
                             "sha256:" + std::string(63, 'a'),
                             "sha256:" + std::string(65, 'a'),
                             "sha256:" + std::string(64, 'A'),
                             "sha256:" + std::string(64, 'g'),
                             "SHA256:" + kHex,
                             " sha256:" + kHex,
                             "sha256:" + kHex + "\n",
                             "sha256:" + std::string(63, 'a') + std::string(1, '\0'),
                             "../x:" + kHex,
                             "sha256:sha256:" + kHex};
  for (const auto& text : bad) {
    const auto digest = Digest::parse(text);
    ASSERT_FALSE(digest) << text;
    EXPECT_EQ(digest.error().code(), Errc::ref_invalid) << text;
    EXPECT_FALSE(digest.error().next_step().empty());
  }
}

TEST(Digest, NeverRepeatsControlCharactersOrEndlessText) {
  const auto digest = Digest::parse("sha256:\x1b[31m" + std::string(100'000, 'x'));
  ASSERT_FALSE(digest);
  EXPECT_EQ(digest.error().what().find('\x1b'), std::string::npos);
  EXPECT_LT(digest.error().what().size(), 400U);
}

TEST(DigestDeathTest, FromHexOfSomethingElseIsABug) {
  EXPECT_DEATH((void)Digest::from_hex("../../etc"), "from_hex");
}

}  // namespace
}  // namespace holdfast::proto
