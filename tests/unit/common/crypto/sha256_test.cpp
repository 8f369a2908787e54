#include "common/crypto/sha256.hpp"

#include <gtest/gtest.h>

#include <string>

namespace holdfast::crypto {
namespace {

TEST(Sha256, GivesTheAnswersOfFips180) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex(std::string(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, DoesNotCareHowTheBytesArrive) {
  const std::string text(1000, 'x');
  for (std::size_t step = 1; step < 200; step += 13) {
    Sha256 hash;
    for (std::size_t pos = 0; pos < text.size(); pos += step)
      hash.update(std::string_view{text}.substr(pos, step));
    EXPECT_EQ(hash.finish_hex(), sha256_hex(text)) << step;
  }
}

TEST(Sha256, MayBeUsedAgainAndMoved) {
  Sha256 hash;
  hash.update(std::string_view{"abc"});
  Sha256 moved = std::move(hash);
  const auto first = moved.finish_hex();
  moved.update(std::string_view{"abc"});
  EXPECT_EQ(moved.finish_hex(), first);
}

}  // namespace
}  // namespace holdfast::crypto
