// Who gives out tokens, and who sees the login for that.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "tests/component/deploy/image/lab.hpp"

namespace holdfast::test {
namespace {

using testing::HasSubstr;

/// The registry is `second`, on 127.0.0.2: all other servers are other hosts.
class TokenServer : public LabTest {
 protected:
  TokenServer() {
    config_.plain_http = true;
    config_.credentials = (dir_.path() / "auth.json").string();
    know_login(lab().second());
  }
  void know_login(const std::string& host) const {
    EXPECT_TRUE(os::write_atomic(
        config_.credentials,
        fmt::format(R"({{"auths": {{"{}": {{"auth": "{}"}}}}}})", host, "dXNlcjpwYXNz")));
  }
  /// What a failed pull said, with its next step; empty: it succeeded.
  [[nodiscard]] std::string pull(const std::string& how) const {
    proto::RegistryConfig stranger;
    stranger.ca = (lab().certificates() / "stranger.cert").string();
    TestStore store{{{lab().second(), config_}, {lab().at("stranger"), stranger}}};
    const auto pulled =
        store.pull(Lab::ref_at(lab().second(), lab().ref("gzip").digest.str(), how));
    return pulled ? std::string{} : pulled.error().to_string();
  }
  os::TempDir dir_ = *os::TempDir::create("/var/tmp", "holdfast-token");
  proto::RegistryConfig config_;
};

TEST_F(TokenServer, ElsewhereIsAskedOnlyWhenItIsListedAndTheErrorSaysHow) {
  const auto stranger = lab().at("stranger");
  const auto refused = pull("foreign-token");
  EXPECT_THAT(refused, HasSubstr("E_AUTH"));
  EXPECT_THAT(refused, HasSubstr(fmt::format("\"{}\": {{token_servers: [\"{}\"]}}", lab().second(),
                                             stranger)));
  config_.token_servers = {"127.0.0.1", lab().host()};
  EXPECT_THAT(pull("foreign-token"), HasSubstr("another host")) << "the port counts";
  config_.token_servers = {"elsewhere.example", stranger};
  EXPECT_EQ(pull("foreign-token"), "");
}

TEST_F(TokenServer, ElsewhereIsNotAskedWithoutTls) {
  config_.token_servers = {lab().host()};
  EXPECT_THAT(pull("foreign-plain"), HasSubstr("another host"));
}

TEST_F(TokenServer, ThatTakesFormsOnlyIsAskedByOne) { EXPECT_EQ(pull("posted"), ""); }

TEST_F(TokenServer, ThatMovedIsFollowedWhereTheLoginMayGoAndNowhereElse) {
  EXPECT_EQ(pull("moved"), "");
  proto::RegistryConfig config = config_;
  know_login(lab().host());
  TestStore store{{{lab().host(), config}}};  // moves to `second`, another host
  const auto pulled = store.pull(lab().ref("gzip", "moved-away"));
  ASSERT_FALSE(pulled);
  EXPECT_THAT(pulled.error().to_string(), HasSubstr("sent to another host, 127.0.0.2"));
}

TEST_F(TokenServer, OfARegistryToWhichAnotherRedirectsGivesATokenToAnybody) {
  know_login(lab().host());
  TestStore store{{{lab().host(), config_}}};
  const auto pulled = store.pull(lab().ref("gzip", "redirect-registry"));
  EXPECT_TRUE(pulled) << pulled.error().to_string();
}

TEST_F(TokenServer, MirrorsBelowAPathAreAskedBelowIt) {
  for (const std::string path : {"/v2/harbor", "/v2/harbor/", "/v2/harbor/proxy"}) {
    proto::RegistryConfig config;
    config.plain_http = true;
    config.mirrors = {"http://" + lab().second() + path};
    TestStore store{{{"127.0.0.1:1", config}}};  // where nobody answers
    const auto digest = lab().ref("gzip").digest.str();
    const auto pulled = store.pull(Lab::ref_at("127.0.0.1:1", digest, "plain"));
    EXPECT_TRUE(pulled) << path << ": " << pulled.error().to_string();
  }
  EXPECT_THAT(lab().hits(), HasSubstr("\"harbor/plain/image/manifests\": 2"));
  EXPECT_THAT(lab().hits(), HasSubstr("\"harbor/proxy/plain/image/manifests\": 1"));
}

}  // namespace
}  // namespace holdfast::test
