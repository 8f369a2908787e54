// Registries and archives that lie, break off, or try to get out.
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#include <fstream>

#include "tests/component/deploy/image/lab.hpp"

namespace holdfast::test {
namespace {

/// What a refused pull said.
class Refusal {
 public:
  Refusal(std::string what, std::string next_step)
      : what_(std::move(what)), next_step_(std::move(next_step)) {}
  [[nodiscard]] const std::string& what() const { return what_; }
  [[nodiscard]] const std::string& next_step() const { return next_step_; }

 private:
  std::string what_;
  std::string next_step_;
};

class HostileRegistry : public LabTest {
 protected:
  /// The pull fails with this code, and nothing of the image is to be seen afterwards.
  static Refusal expect_refused(const proto::ImageRef& ref, Errc code) {
    TestStore store{lab()};
    const auto pulled = store.pull(ref);
    EXPECT_FALSE(pulled) << ref.str();
    if (pulled) return {"not refused", ""};
    EXPECT_EQ(pulled.error().code(), code) << pulled.error().to_string();
    EXPECT_NE(pulled.error().what().find(ref.digest.str()), std::string::npos)
        << pulled.error().to_string();
    EXPECT_EQ(store.count("images"), 0U);
    EXPECT_EQ(store.count("ingest"), 0U);
    return {pulled.error().what(), pulled.error().next_step()};
  }
  static void expect_pulled(const proto::ImageRef& ref) {
    TestStore store{lab()};
    const auto pulled = store.pull(ref);
    ASSERT_TRUE(pulled) << pulled.error().to_string();
    EXPECT_EQ(store.count("ingest"), 0U);
  }
};

using HostileArchive = HostileRegistry;

TEST_F(HostileRegistry, WrongBytesAreRefusedNamingWhatCame) {
  const auto error = expect_refused(lab().ref("plain", "wrong"), Errc::digest_mismatch);
  EXPECT_NE(error.next_step(), "");
  EXPECT_NE(error.what().find(lab().host()), std::string::npos) << error.what();
  expect_refused(lab().ref("gzip", "wrong-manifest"), Errc::digest_mismatch);
}

TEST_F(HostileRegistry, AMissingBlobIsNamed) {
  const auto error = expect_refused(lab().ref("gzip", "missing"), Errc::not_found);
  EXPECT_NE(error.next_step(), "");
}

TEST_F(HostileRegistry, ARefusalIsShownWithoutControlCharacters) {
  const auto error = expect_refused(lab().ref("gzip", "forbidden"), Errc::auth);
  EXPECT_EQ(error.what().find('\x1b'), std::string::npos);
  EXPECT_NE(error.what().find("denied"), std::string::npos);
}

TEST_F(HostileRegistry, AnUnreachableRegistryIsSaidToBeOne) {
  TestStore store{lab()};
  proto::RegistryConfig plain;
  plain.plain_http = true;
  store.reopen({{"127.0.0.1:1", plain}});
  const auto pulled =
      store.pull(*proto::ImageRef::parse("127.0.0.1:1/a@" + lab().ref("gzip").digest.str()));
  ASSERT_FALSE(pulled);
  EXPECT_EQ(pulled.error().code(), Errc::unreachable);
  EXPECT_NE(pulled.error().what().find("127.0.0.1:1"), std::string::npos);
  EXPECT_NE(pulled.error().next_step(), "");
}

TEST_F(HostileRegistry, PlainHttpIsSpokenOnlyWhereAllowed) {
  TestStore store{lab()};
  store.reopen({});
  const auto pulled = store.pull(lab().ref("gzip"));
  ASSERT_FALSE(pulled);
  EXPECT_EQ(pulled.error().code(), Errc::tls) << pulled.error().to_string();
  EXPECT_NE(pulled.error().next_step().find("plain_http"), std::string::npos);
}

TEST_F(HostileRegistry, ABrokenTransferGoesOnWhereItBroke) {
  for (const char* how : {"truncated", "no-range", "false-range", "open-end", "resets"}) {
    SCOPED_TRACE(how);
    expect_pulled(lab().ref("plain", how));
  }
}

TEST_F(HostileRegistry, AnEndlessBodyIsCutAtItsDeclaredSize) {
  expect_refused(lab().ref("gzip", "endless"), Errc::size_mismatch);
  expect_refused(lab().ref("gzip", "endless-manifest"), Errc::size_mismatch);
}

TEST_F(HostileRegistry, ADeclaredSizeThatIsWrongIsAnError) {
  expect_refused(lab().ref("size"), Errc::size_mismatch);
}

TEST_F(HostileRegistry, PassingTroubleIsWaitedOut) {
  expect_pulled(lab().ref("gzip", "flaky"));
  expect_pulled(lab().ref("gzip", "limited"));
}

TEST_F(HostileRegistry, AnEncodedBlobIsRefused) {
  expect_refused(lab().ref("gzip", "encoded"), Errc::registry);
}

TEST_F(HostileRegistry, RedirectsAreFollowedWithinBounds) {
  expect_pulled(lab().ref("gzip", "redirect"));
  expect_refused(lab().ref("gzip", "redirect-loop"), Errc::redirect);
  expect_refused(lab().ref("gzip", "redirect-file"), Errc::redirect);
  expect_refused(lab().ref("gzip", "redirect-inside"), Errc::ssrf);
}

class Login : public HostileRegistry {
 protected:
  Login() {
    config_.plain_http = true;
    config_.credentials = (dir_.path() / "auth.json").string();
    EXPECT_TRUE(os::write_atomic(config_.credentials, R"({"auths": {")" + lab().host() +
                                                          R"(": {"auth": "dXNlcjpwYXNz"}}})"));
  }
  void expect_login(const std::string& how) {
    SCOPED_TRACE(how);
    TestStore store{{{lab().host(), config_}}};
    const auto pulled = store.pull(lab().ref("gzip", how));
    EXPECT_TRUE(pulled) << pulled.error().to_string();
  }
  os::TempDir dir_ = *os::TempDir::create("/var/tmp", "holdfast-login");
  proto::RegistryConfig config_;
};

TEST_F(Login, BearerAndBasicAreAnswered) {
  expect_login("login");
  expect_login("basic");
}

TEST_F(Login, ARedirectElsewhereCarriesNoLogin) {
  expect_login("redirect-login");
  EXPECT_EQ(lab().hits().find("leaked"), std::string::npos) << lab().hits();
}

TEST_F(Login, WithoutCredentialsTheErrorSaysWhereToSetThem) {
  const auto error = expect_refused(lab().ref("gzip", "login"), Errc::auth);
  EXPECT_NE(error.next_step(), "");
  expect_refused(lab().ref("gzip", "basic"), Errc::auth);
}

TEST_F(Login, ATokenServerElsewhereGetsNothing) {
  TestStore store{{{lab().host(), config_}}};
  const auto pulled = store.pull(lab().ref("gzip", "evil-realm"));
  ASSERT_FALSE(pulled);
  EXPECT_EQ(pulled.error().code(), Errc::auth);
  EXPECT_NE(pulled.error().what().find("169.254.169.254"), std::string::npos)
      << pulled.error().to_string();
}

TEST_F(Login, ABrokenTokenServerIsAnErrorOfTheLogin) {
  for (const char* how : {"token-500", "token-text", "token-huge", "token-empty", "token-evil"}) {
    SCOPED_TRACE(how);
    TestStore store{{{lab().host(), config_}}};
    const auto pulled = store.pull(lab().ref("gzip", how));
    ASSERT_FALSE(pulled);
    EXPECT_EQ(pulled.error().code(), Errc::auth) << pulled.error().to_string();
    EXPECT_LT(pulled.error().to_string().size(), 2000U);
  }
}

TEST_F(Login, ACredentialsFileThatOthersCanWriteIsRefused) {
  ASSERT_EQ(chmod(config_.credentials.c_str(), 0666), 0);
  TestStore store{{{lab().host(), config_}}};
  const auto pulled = store.pull(lab().ref("gzip", "basic"));
  ASSERT_FALSE(pulled);
  EXPECT_EQ(pulled.error().code(), Errc::perm);
}

TEST_F(HostileRegistry, WrongBytesOfAMirrorLeadToTheRegistry) {
  proto::RegistryConfig config;
  config.plain_http = true;
  config.mirrors = {"http://" + lab().second()};
  TestStore store{{{lab().host(), config}}};
  const auto pulled = store.pull(lab().ref("plain", "mirror-lies"));
  ASSERT_TRUE(pulled) << pulled.error().to_string();
}

TEST_F(HostileRegistry, AMirrorThatIsDownLeadsToTheRegistry) {
  proto::RegistryConfig config;
  config.plain_http = true;
  config.mirrors = {"http://127.0.0.1:1"};
  TestStore another{{{lab().host(), config}}};
  const auto fallen_back = another.pull(lab().ref("gzip"));
  ASSERT_TRUE(fallen_back) << fallen_back.error().to_string();
}

TEST_F(HostileRegistry, AnImageForAnotherPlatformIsRefusedWithWhatThereIs) {
  const auto error = expect_refused(lab().ref("foreign"), Errc::platform);
  EXPECT_NE(error.what().find("s390x"), std::string::npos) << error.what();
}

TEST_F(HostileArchive, ADocumentThatIsManifestAndIndexIsRefused) {
  expect_refused(lab().ref("two-faced"), Errc::media_type);
}

TEST_F(HostileArchive, DigestsOfTheContentAreCheckedToo) {
  expect_refused(lab().ref("diff-id"), Errc::diffid_mismatch);
}

TEST_F(HostileArchive, DamagedStreamsAreRefused) {
  for (const char* name : {"not-gzip", "cut-gzip", "trailing", "cut-tar"}) {
    SCOPED_TRACE(name);
    expect_refused(lab().ref(name), Errc::layer_corrupt);
  }
}

TEST_F(HostileArchive, NamesThatLeadOutAreRefused) {
  for (const char* name :
       {"root-symlink", "dot-dot", "dot-dot-2", "dot-dot-3", "absolute-up", "link-up", "link-out",
        "whiteout-nothing", "whiteout-dot", "whiteout-dots", "whiteout-inner", "device-zero",
        "loop", "directory-link", "below-whiteout", "below-opaque"}) {
    SCOPED_TRACE(name);
    expect_refused(lab().ref(std::string{"bad-"} + name), Errc::layer_unsafe);
  }
}

TEST_F(HostileArchive, WhatTwoReadersSeeDifferentlyIsRefused) {
  for (const char* name :
       {"two-pax", "pax-and-sun", "pax-long-pax", "two-long-names", "two-long-links",
        "long-name-empty", "long-name-without-bytes", "long-link-empty", "long-and-pax",
        "pax-and-long", "long-link-and-pax", "global-between", "global-names", "global-size",
        "global-attribute", "key-twice", "key-taken-back", "attribute-twice",
        "attribute-two-ways"}) {
    const auto error =
        expect_refused(lab().ref(std::string{"bad-tar-"} + name), Errc::layer_corrupt);
    EXPECT_NE(error.what().find("readers of tar disagree"), std::string::npos)
        << name << ": " << error.what();
  }
  for (const char* name : {"git-archive", "bsdtar", "gnu-long", "same-twice"})
    expect_pulled(lab().ref(std::string{"tar-"} + name));
}

TEST_F(HostileArchive, ExcessIsRefused) {
  for (const char* name : {"long-name", "long-path", "deep", "big-xattr", "long-xattr"}) {
    SCOPED_TRACE(name);
    expect_refused(lab().ref(std::string{"bad-"} + name), Errc::layer_limit);
  }
  for (const char* name : {"holes", "deep-links", "small-entries"}) {
    SCOPED_TRACE(name);
    expect_refused(lab().ref(name), Errc::layer_limit);
  }
}

TEST_F(HostileArchive, TheLayersOfAnImageShareTheEntriesThatTheirSizesDoNotAccountFor) {
  expect_pulled(lab().ref("one-wide"));
  expect_refused(lab().ref("three-wide"), Errc::layer_limit);
}

TEST_F(HostileArchive, AHoleCostsNothing) {
  for (const char* name : {"hole", "hole-linked"}) {
    TestStore store{lab()};
    const BootTime began = store.clock.boot();
    const auto pulled = store.pull(lab().ref(name));
    ASSERT_TRUE(pulled) << name << ": " << pulled.error().to_string();
    const auto verified = store.images->verify({}, {}, {}, {});
    ASSERT_TRUE(verified) << verified.error().to_string();
    EXPECT_TRUE(verified->damaged.empty()) << name;
    EXPECT_LT(store.clock.boot() - began, std::chrono::seconds{5}) << name;
    EXPECT_EQ(std::filesystem::file_size(pulled->image.lowers.front() / "f0"), 9ULL << 30);
  }
}

TEST_F(HostileArchive, ABombIsStoppedBeforeItFillsTheDisk) {
  struct statvfs before {};
  statvfs("/var/tmp", &before);
  for (const char* name : {"bomb-gzip", "bomb-zstd", "entry-bomb", "wide-window"}) {
    SCOPED_TRACE(name);
    expect_refused(lab().ref(name), Errc::layer_limit);
  }
  struct statvfs after {};
  statvfs("/var/tmp", &after);
  EXPECT_LT((static_cast<double>(before.f_bfree) - static_cast<double>(after.f_bfree)) *
                static_cast<double>(after.f_frsize),
            1e9);
}

TEST_F(HostileArchive, SymlinksAreFollowedInsideTheLayerOnly) {
  TestStore store{lab()};
  const auto pulled = store.pull(lab().ref("through-symlink"));
  ASSERT_TRUE(pulled) << pulled.error().to_string();
  EXPECT_FALSE(std::filesystem::exists("/tmp/holdfast-escape"));
  const Mounted root{pulled->image};
  EXPECT_EQ(root.read("tmp/holdfast-escape/f"), "inside");
  const auto host = store.pull(lab().ref("through-host"));
  ASSERT_TRUE(host) << host.error().to_string();
  EXPECT_TRUE(std::filesystem::exists("/etc/passwd"));
  EXPECT_FALSE(std::filesystem::exists("/inner"));
}

TEST_F(HostileArchive, AHardLinkChangesNoModeOfTheHost) {
  struct stat before {};
  ASSERT_EQ(stat("/etc/passwd", &before), 0);
  TestStore store{lab()};
  const auto pulled = store.pull(lab().ref("hostile-chmod"));
  ASSERT_TRUE(pulled) << pulled.error().to_string();
  struct stat after {};
  ASSERT_EQ(stat("/etc/passwd", &after), 0);
  EXPECT_EQ(before.st_mode, after.st_mode);
}

TEST_F(HostileArchive, AttributesOfOverlayfsInAnImageDoNothing) {
  TestStore store{lab()};
  const auto pulled = store.pull(lab().ref("overlay-xattrs"));
  ASSERT_TRUE(pulled) << pulled.error().to_string();
  const Mounted root{pulled->image};
  EXPECT_EQ(root.read("b/own"), "o");
  EXPECT_FALSE(root.exists("b/secret"));
}

}  // namespace
}  // namespace holdfast::test
