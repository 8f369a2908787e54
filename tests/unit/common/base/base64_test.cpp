#include "common/base/base64.hpp"

#include <gtest/gtest.h>

#include <span>

#include "common/base/text.hpp"

namespace holdfast {
namespace {

TEST(Base64, ReadsTheVectorsOfRfc4648InBothAlphabets) {
  EXPECT_EQ(from_base64(""), "");
  EXPECT_EQ(from_base64("Zg=="), "f");
  EXPECT_EQ(from_base64("Zm8="), "fo");
  EXPECT_EQ(from_base64("Zm9v"), "foo");
  EXPECT_EQ(from_base64("Zm9vYmFy"), "foobar");
  EXPECT_EQ(from_base64("+/+/"), "\xfb\xff\xbf");
  EXPECT_EQ(from_base64("-_-_"), "\xfb\xff\xbf");
}

TEST(Base64, RefusesWhatHasAnotherTextToo) {
  for (const auto* text : {"Zg", "Zg=", "Zh==", "Zm9=", "Zm9v\n", " Zm9v", "Zm9v ", "Zm9!",
                           "====", "Z===", "Zg==Zg==", "Zm=v", "+_==", "=", "Zm9vZ"})
    EXPECT_FALSE(from_base64(text)) << text;
}

TEST(Base64, GivesBackWhatWasWritten) {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(from_base64(to_base64(std::as_bytes(std::span{bytes}))), bytes);
    bytes += static_cast<char>(i * 7);
  }
}

}  // namespace
}  // namespace holdfast
