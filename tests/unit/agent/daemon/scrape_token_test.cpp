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
    const auto refused = ScrapeToken{file_}.refusal(authorization);
    return refused ? refused->status : 0;
  }

  os::TempDir directory_ = *os::TempDir::create("/tmp", "holdfast-token");
  std::filesystem::path file_ = directory_.path() / "token";
};

TEST_F(ScrapeTokens, WithoutAFileWhoeverAsksMay) {
  EXPECT_FALSE(ScrapeToken{}.refusal(std::nullopt));
  EXPECT_FALSE(ScrapeToken{}.refusal("Bearer whatever"));
  EXPECT_TRUE(ScrapeToken{}.check());
}

TEST_F(ScrapeTokens, OnlyTheTokenAsItIsOpens) {
  write(std::string{kToken} + "\n");
  EXPECT_TRUE(ScrapeToken{file_}.check());
  for (const auto* scheme : {"Bearer ", "bearer ", "BEARER  "})
    EXPECT_EQ(status(scheme + std::string{kToken}), 0U) << scheme;
  for (const auto& other : std::initializer_list<std::optional<std::string>>{
           std::nullopt, "", "Bearer", "Bearer ", kToken, std::string{"Basic "} + kToken,
           "Bearer 0123456789abcde", "Bearer 0123456789abcdeF", "Bearer 0123456789abcdef0",
           "Bearer 0123456789abcdef x", "Bearer0123456789abcdef"})
    EXPECT_EQ(status(other), 401U) << other.value_or("(none)");
  const auto refused = ScrapeToken{file_}.refusal(std::nullopt);
  EXPECT_THAT(refused->authenticate, HasSubstr("Bearer"));
  EXPECT_THAT(refused->body, HasSubstr("credentials_file"));
  EXPECT_EQ(refused->body.find(kToken), std::string::npos);
}

TEST_F(ScrapeTokens, ANewOneCountsAtOnce) {
  write(kToken);
  write("fedcba9876543210");
  EXPECT_EQ(status(std::string{"Bearer "} + kToken), 401U);
  EXPECT_EQ(status("Bearer fedcba9876543210"), 0U);
}

TEST_F(ScrapeTokens, WithoutOneThatIsGoodNobodyMay) {
  const auto expect_nobody = [this](std::string_view why) {
    EXPECT_EQ(status(std::string{"Bearer "} + kToken), 503U) << why;
    EXPECT_EQ(status(std::nullopt), 503U) << why;
    const auto usable = ScrapeToken{file_}.check();
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
  for (const mode_t mode : std::initializer_list<mode_t>{0644, 0640, 0622, 0602, 0620}) {
    write(kToken, mode);
    expect_nobody("others than root may read or change");
  }
  write(kToken);
  ASSERT_EQ(::chown(file_.c_str(), 65534, 0), 0);
  expect_nobody("others than root may read or change");
  std::filesystem::remove(file_);
  std::filesystem::create_directory(file_);
  expect_nobody("token");
}

}  // namespace
}  // namespace holdfast::agent::daemon
