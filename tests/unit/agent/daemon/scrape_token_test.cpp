#include "agent/daemon/scrape_token.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include "common/os/file.hpp"

namespace holdfast::agent::daemon {
namespace {

using ::testing::HasSubstr;

constexpr const char* kToken = "0123456789abcdef";

class ScrapeTokens : public ::testing::Test {
 protected:
  void write(const std::string& text, mode_t mode = 0600) {
    ASSERT_TRUE(os::write_atomic(file_, text, mode));
  }
  /// 0: it may.
  unsigned status(const std::optional<std::string>& authorization) {
    ScrapeToken token{file_};
    (void)token.refresh();
    const auto refused = token.refusal(authorization);
    return refused ? refused->status : 0;
  }

  os::TempDir directory_ = *os::TempDir::create("/tmp", "holdfast-token");
  std::filesystem::path file_ = directory_.path() / "token";
};

TEST_F(ScrapeTokens, WithoutAFileWhoeverAsksMay) {
  ScrapeToken none{{}};
  EXPECT_TRUE(none.refresh());
  EXPECT_FALSE(none.is_wanted());
  EXPECT_FALSE(none.refusal(std::nullopt));
  EXPECT_FALSE(none.refusal("Bearer whatever"));
}

TEST_F(ScrapeTokens, OnlyTheTokenAsItIsOpens) {
  write(std::string{kToken} + "\n");
  EXPECT_TRUE(ScrapeToken{file_}.refresh());
  for (const auto* scheme : {"Bearer ", "bearer ", "BEARER  "})
    EXPECT_EQ(status(scheme + std::string{kToken}), 0U) << scheme;
  for (const auto& other : std::initializer_list<std::optional<std::string>>{
           std::nullopt, "", "Bearer", "Bearer ", kToken, std::string{"Basic "} + kToken,
           "Bearer 0123456789abcde", "Bearer 0123456789abcdeF", "Bearer 0123456789abcdef0",
           "Bearer 0123456789abcdef x", "Bearer0123456789abcdef"})
    EXPECT_EQ(status(other), 401U) << other.value_or("(none)");
  ScrapeToken token{file_};
  ASSERT_TRUE(token.refresh());
  const auto refused = token.refusal(std::nullopt);
  EXPECT_THAT(refused->authenticate, HasSubstr("Bearer"));
  EXPECT_THAT(refused->body, HasSubstr("credentials_file"));
  EXPECT_EQ(refused->body.find(kToken), std::string::npos);
}

TEST_F(ScrapeTokens, WhatWasReadLastCountsAndNothingBefore) {
  write(kToken);
  const auto bearing = std::string{"Bearer "} + kToken;
  ScrapeToken token{file_};
  EXPECT_EQ(token.refusal(bearing)->status, 503U) << "nothing was read yet";
  ASSERT_TRUE(token.refresh());
  EXPECT_FALSE(token.refusal(bearing));
  write("fedcba9876543210");
  EXPECT_FALSE(token.refusal(bearing)) << "who asks makes nobody read";
  ASSERT_TRUE(token.refresh());
  EXPECT_EQ(token.refusal(bearing)->status, 401U);
  EXPECT_FALSE(token.refusal("Bearer fedcba9876543210"));
  std::filesystem::remove(file_);
  EXPECT_FALSE(token.refresh());
  EXPECT_EQ(token.refusal("Bearer fedcba9876543210")->status, 503U);
}

TEST_F(ScrapeTokens, WithoutOneThatIsGoodNobodyMay) {
  const auto expect_nobody = [this](std::string_view why) {
    EXPECT_EQ(status(std::string{"Bearer "} + kToken), 503U) << why;
    EXPECT_EQ(status(std::nullopt), 503U) << why;
    const auto usable = ScrapeToken{file_}.refresh();
    ASSERT_FALSE(usable) << why;
    EXPECT_THAT(usable.error().to_string(), HasSubstr(why));
  };
  expect_nobody("No such file");
  write("short");
  expect_nobody("has 5 bytes, 16 are the least");
  write("two words of them");
  expect_nobody("holds no token");
  write("");
  expect_nobody("holds no token");
  for (const auto mode : std::initializer_list<mode_t>{0640, 0644, 0604}) {
    write(kToken, mode);
    expect_nobody("others than root may read");
  }
  for (const auto mode : std::initializer_list<mode_t>{0622, 0602, 0620}) {
    write(kToken, mode);
    expect_nobody("write");
  }
  write(kToken);
  ASSERT_EQ(::chown(file_.c_str(), 65534, 0), 0);
  expect_nobody("token");
  write(kToken);
  const auto open = directory_.path() / "open";
  std::filesystem::create_directory(open);
  std::filesystem::permissions(open, std::filesystem::perms::all);
  std::filesystem::rename(file_, open / "token");
  std::filesystem::create_symlink(open / "token", file_);
  expect_nobody("open");
  std::filesystem::remove(open / "token");
  std::filesystem::remove(file_);
  std::filesystem::create_directory(file_);
  expect_nobody("token");
}

}  // namespace
}  // namespace holdfast::agent::daemon
