// How bytes get here: going on after a break, in how much time, with whose login and certificates.
#include <sys/stat.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "tests/component/deploy/image/lab.hpp"

namespace holdfast::test {
namespace {

using std::chrono::milliseconds;

class Transfer : public LabTest {
 protected:
  static proto::RegistryConfig plain() {
    proto::RegistryConfig config;
    config.plain_http = true;
    return config;
  }
  static std::uint64_t partial_bytes(const TestStore& store) {
    std::uint64_t bytes = 0;
    for (const auto& file : std::filesystem::directory_iterator{store.dir.path() / "partial"})
      bytes += file.file_size();
    return bytes;
  }
  static bool eventually(const std::function<bool()>& holds) {
    for (int i = 0; i < 500; ++i) {
      if (holds()) return true;
      usleep(20'000);
    }
    return false;
  }
};

TEST_F(Transfer, AnAgentThatWasKilledGoesOnWhereItsDownloadWas) {
  TestStore store{lab()};
  const auto ref = lab().ref("big", "stalls");
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    (void)store.pull(ref);
    _exit(0);
  }
  EXPECT_TRUE(eventually([&] { return partial_bytes(store) >= 2U << 20; }));
  kill(child, SIGKILL);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  const std::uint64_t kept = partial_bytes(store);
  EXPECT_EQ(store.count("layers"), 0U) << "nothing unverified is visible";
  lab().go_on();
  store.reopen({{lab().host(), plain()}});
  const auto pulled = store.pull(ref);
  ASSERT_TRUE(pulled) << pulled.error().to_string();
  EXPECT_NE(lab().hits().find("\"from\": " + std::to_string(kept)), std::string::npos)
      << lab().hits() << ", kept " << kept;
  EXPECT_LT(pulled->stats.bytes_fetched, (4U << 20) - kept + 100'000);
  EXPECT_EQ(store.count("partial"), 0U);
  EXPECT_EQ(store.count("ingest"), 0U);
}

TEST_F(Transfer, WhatWasKeptIsNotBelieved) {
  for (const std::size_t size : {std::size_t{2} << 20, std::size_t{9} << 20}) {
    TestStore store{lab()};
    const auto found = store.images->find(lab().ref("big").digest);
    ASSERT_FALSE(found);
    // The only large blob of the image is its layer.
    const auto manifest = os::read_file(lab().blobs() + "/" + lab().ref("big").digest.hex());
    ASSERT_TRUE(manifest);
    const auto layer = manifest->substr(manifest->rfind("sha256:") + 7, 64);
    ASSERT_TRUE(os::write_atomic(store.dir.path() / "partial" / layer, std::string(size, 'x')));
    const auto pulled = store.pull(lab().ref("big"));
    ASSERT_TRUE(pulled) << pulled.error().to_string();
    EXPECT_EQ(store.count("partial"), 0U);
  }
}

TEST_F(Transfer, ALayerThatIsWrongLeavesNothingToGoOnFrom) {
  TestStore store{lab()};
  ASSERT_FALSE(store.pull(lab().ref("big", "wrong")));
  EXPECT_EQ(store.count("partial"), 0U);
}

TEST_F(Transfer, BandwidthIsLimitedOverAllDownloadsTogether) {
  TestStore store{lab()};
  store.bytes_per_second = 4U << 20;
  store.reopen({{lab().host(), plain()}});
  const auto begin = std::chrono::steady_clock::now();
  {
    std::vector<std::jthread> threads;
    for (const char* name : {"big", "big-2"}) {
      threads.emplace_back([&, name] {
        const auto pulled = store.pull(lab().ref(name));
        EXPECT_TRUE(pulled) << pulled.error().to_string();
      });
    }
  }
  const auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_GE(took, milliseconds{1700}) << "8 MiB at 4 MiB/s";
  EXPECT_LE(took, milliseconds{8000});
}

TEST_F(Transfer, ATokenThatRunsOutInMidPullIsRenewed) {
  TestStore store{lab()};
  proto::RegistryConfig config = plain();
  const auto file = store.dir.path() / "auth.json";
  ASSERT_TRUE(os::write_atomic(
      file, R"({"auths": {")" + lab().host() + R"(": {"auth": "dXNlcjpwYXNz"}}})"));
  config.credentials = file.string();
  store.reopen({{lab().host(), config}});
  const auto pulled = store.pull(lab().ref("plain", "login-ends"));
  ASSERT_TRUE(pulled) << pulled.error().to_string();
  EXPECT_NE(lab().hits().find("\"ended\": "), std::string::npos);
  EXPECT_EQ(lab().hits().find("\"ended\": 0"), std::string::npos) << "the token never ran out";
}

TEST_F(Transfer, ARegistrysWishToWaitIsKeptWithinReason) {
  TestStore store{lab()};
  const auto begin = std::chrono::steady_clock::now();
  const auto dated = store.pull(lab().ref("gzip", "limited-date"));
  ASSERT_TRUE(dated) << dated.error().to_string();
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds{900});
  const auto unclear = store.pull(lab().ref("plain", "limited-badly"));
  EXPECT_TRUE(unclear) << unclear.error().to_string();
  const auto later = store.pull(lab().ref("big", "limited-long"));
  ASSERT_FALSE(later);
  EXPECT_EQ(later.error().code(), Errc::rate_limited) << later.error().to_string();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds{20});
}

/// Logins where other tools leave them.
class Logins : public Transfer {
 protected:
  void write_login(const std::string& host) {
    ASSERT_TRUE(os::write_atomic(
        file_, R"({"auths": {"https://)" + host + R"(/v2/": {"auth": "dXNlcjpwYXNz"}}})"));
  }
  void expect_pulled(const proto::RegistryConfig& config, const std::string& how = "basic") {
    store_.reopen({{lab().host(), config}});
    const auto pulled = store_.pull(lab().ref("gzip", how));
    EXPECT_TRUE(pulled) << pulled.error().to_string();
  }
  void install_helper(const std::string& script) {
    store_.host_files.helpers = {store_.dir.path()};
    ASSERT_TRUE(os::write_atomic(store_.dir.path() / "docker-credential-lab",
                                 "#!/bin/sh\n" + script, 0755));
  }
  TestStore store_{lab()};
  std::filesystem::path file_ = store_.dir.path() / "config.json";
};

TEST_F(Logins, AFileInAWellKnownPlaceIsUsed) {
  write_login(lab().host());
  store_.host_files.logins = {"/nowhere/auth.json", file_};
  expect_pulled(plain());
}

TEST_F(Logins, ACredentialHelperIsAsked) {
  install_helper(R"(read host; [ "$1 $host" = "get )" + lab().host() +
                 R"(" ] && echo '{"ServerURL":"x","Username":"user","Secret":"pass"}')");
  ASSERT_TRUE(os::write_atomic(file_, R"({"credHelpers": {")" + lab().host() + R"(": "lab"}})"));
  store_.host_files.logins = {file_};
  expect_pulled(plain());
}

TEST_F(Logins, AHelperThatFailsIsNamedAndItsWordsAreNot) {
  install_helper("echo secret-words; exit 3");
  ASSERT_TRUE(os::write_atomic(file_, R"({"credsStore": "lab"})"));
  store_.host_files.logins = {file_};
  store_.reopen({{lab().host(), plain()}});
  const auto pulled = store_.pull(lab().ref("gzip", "basic"));
  ASSERT_FALSE(pulled);
  EXPECT_EQ(pulled.error().code(), Errc::auth);
  EXPECT_NE(pulled.error().what().find("lab"), std::string::npos);
  EXPECT_EQ(pulled.error().to_string().find("secret-words"), std::string::npos);
}

TEST_F(Logins, AHelpersNameCannotLeadElsewhere) {
  for (const char* name : {"../x", "a/b", "a b"}) {
    install_helper("exit 0");
    ASSERT_TRUE(os::write_atomic(
        file_, R"({"credHelpers": {")" + lab().host() + R"(": ")" + name + R"("}})"));
    store_.host_files.logins = {file_};
    store_.reopen({{lab().host(), plain()}});
    const auto pulled = store_.pull(lab().ref("gzip", "basic"));
    ASSERT_FALSE(pulled) << name;
    EXPECT_EQ(pulled.error().code(), Errc::auth) << pulled.error().to_string();
  }
}

TEST_F(Logins, AMirrorGetsItsOwnLoginAndNeverTheRegistrys) {
  proto::RegistryConfig config = plain();
  config.mirrors = {"http://" + lab().second()};
  write_login(lab().host());
  store_.host_files.logins = {file_};
  expect_pulled(config);
  EXPECT_EQ(lab().hits().find("second-knows"), std::string::npos) << lab().hits();
}

TEST_F(Transfer, CertificatesAreFoundByTheRegistrysName) {
  TestStore store{lab()};
  const auto ref = Lab::ref_at(lab().third(), lab().ref("gzip").digest.str(), "plain");
  store.reopen({});
  const auto stranger = store.pull(ref);
  ASSERT_FALSE(stranger);
  EXPECT_EQ(stranger.error().code(), Errc::tls) << stranger.error().to_string();

  const auto certs = store.dir.path() / "certs.d" / lab().third();
  ASSERT_TRUE(os::make_directories(certs));
  std::filesystem::copy_file(lab().certificates() / "ca.crt", certs / "ca.crt");
  std::filesystem::copy_file(lab().certificates() / "client.cert", certs / "client.cert");
  store.host_files.certificates = {store.dir.path() / "certs.d"};
  store.reopen({});
  const auto without_key = store.pull(ref);
  ASSERT_FALSE(without_key);
  EXPECT_NE(without_key.error().what().find("client.cert"), std::string::npos);

  std::filesystem::copy_file(lab().certificates() / "client.key", certs / "client.key");
  const auto pulled = store.pull(ref);
  ASSERT_TRUE(pulled) << pulled.error().to_string();
}

}  // namespace
}  // namespace holdfast::test
