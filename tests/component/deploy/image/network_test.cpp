// The way to the registry, proxies and HTTP/2; and what a disk has no room for.
#include <sys/statvfs.h>

#include "tests/component/deploy/image/lab.hpp"

namespace holdfast::test {
namespace {

/// A helper program that prints its port and ends with its standard input.
class Helper {
 public:
  explicit Helper(std::vector<std::string> argv) {
    auto out = os::make_pipe();
    auto in = os::make_pipe();
    auto child = os::Process::spawn({.argv = std::move(argv),
                                     .env = {os::kChildPath},
                                     .fds = {{in->first.get(), 0}, {out->second.get(), 1}},
                                     .directory = {},
                                     .new_session = true});
    EXPECT_TRUE(child);
    child_ = std::make_unique<os::Process>(*std::move(child));
    input_ = std::move(in->second);
    out->second.reset();
    char text[64] = "";
    EXPECT_GT(read(out->first.get(), text, sizeof text - 1), 0);
    std::istringstream{std::string{text}} >> port;
  }
  std::string port;

 private:
  os::UniqueFd input_;
  std::unique_ptr<os::Process> child_;
};

class Network : public LabTest {
 protected:
  static std::string script(const char* name) {
    auto path = lab_script();
    return path.replace(path.rfind('/') + 1, std::string::npos, name);
  }
  void open(const proto::RegistryConfig& config, const std::string& host = "") {
    store_.reopen({{host.empty() ? lab().host() : host, config}});
  }
  static proto::RegistryConfig plain() {
    proto::RegistryConfig config;
    config.plain_http = true;
    return config;
  }
  /// How often the proxy let something through.
  [[nodiscard]] std::string proxied() const {
    const auto log = os::read_file(log_);
    return log ? *log : "";
  }

  TestStore store_{lab()};
  std::string log_ = (store_.dir.path() / "proxy.log").string();
};

TEST_F(Network, AProxyIsUsedForWhatItIsMeantForAndItsLoginIsNeverShown) {
  const Helper proxy{{"python3", script("proxy_lab.py"), log_, "me:secret"}};
  const auto url = "http://me:secret@127.0.0.1:" + proxy.port;
  auto config = plain();
  config.proxy = proto::ProxyConfig{.http = url, .https = {}, .no_proxy = {}};
  open(config);
  const auto pulled = store_.pull(lab().ref("gzip"));
  ASSERT_TRUE(pulled) << pulled.error().to_string();
  EXPECT_NE(proxied().find("GET http://" + lab().host() + "/v2/"), std::string::npos) << proxied();

  const auto lines = proxied();
  for (const char* except : {"127.0.0.1", "127.0.0.0/8", "*"}) {
    config.proxy->no_proxy = {except};
    open(config);
    ASSERT_TRUE(store_.images->collect({}, {}));
    ASSERT_TRUE(store_.pull(lab().ref("gzip"))) << except;
    EXPECT_EQ(proxied(), lines) << except;
  }

  config.proxy = proto::ProxyConfig{"http://me:wrong@127.0.0.1:" + proxy.port, {}, {}};
  open(config);
  const auto refused = store_.pull(lab().ref("zstd"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::auth) << refused.error().to_string();
  EXPECT_EQ(refused.error().to_string().find("wrong"), std::string::npos);
  EXPECT_NE(refused.error().what().find("proxy 127.0.0.1:" + proxy.port), std::string::npos);
}

TEST_F(Network, TlsGoesThroughAProxyByATunnel) {
  const Helper proxy{{"python3", script("proxy_lab.py"), log_}};
  proto::RegistryConfig config;
  config.ca = (lab().certificates() / "ca.crt").string();
  config.proxy = proto::ProxyConfig{{}, "http://127.0.0.1:" + proxy.port, {}};
  const auto certs = store_.dir.path() / "certs.d" / lab().third();
  ASSERT_TRUE(os::make_directories(certs));
  for (const char* name : {"client.cert", "client.key"})
    std::filesystem::copy_file(lab().certificates() / name, certs / name);
  store_.host_files.certificates = {store_.dir.path() / "certs.d"};
  open(config, lab().third());
  const auto ref = Lab::ref_at(lab().third(), lab().ref("gzip").digest.str(), "plain");
  const auto pulled = store_.pull(ref);
  ASSERT_TRUE(pulled) << pulled.error().to_string();
  EXPECT_NE(proxied().find("CONNECT " + lab().third()), std::string::npos) << proxied();
}

TEST_F(Network, AProxyThatIsDownIsNamed) {
  auto config = plain();
  config.proxy = proto::ProxyConfig{"http://me:secret@127.0.0.1:1", {}, {}};
  open(config);
  const auto failed = store_.pull(lab().ref("gzip"));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), Errc::unreachable) << failed.error().to_string();
  EXPECT_EQ(failed.error().to_string().find("secret"), std::string::npos);
}

/// nginx as people put it in front of a registry.
class Nginx {
 public:
  Nginx(const std::filesystem::path& dir, const Lab& lab) : dir_(dir / "nginx") {
    EXPECT_TRUE(os::make_directories(dir_, 0755));
    const auto tls = lab.certificates().string();
    EXPECT_TRUE(os::write_atomic(
        dir_ / "nginx.conf",
        "daemon off; user root; worker_processes 1; pid " + (dir_ / "pid").string() +
            ";\nerror_log " + (dir_ / "error.log").string() +
            ";\nevents {}\nhttp {\n log_format p '$server_protocol $request_uri';\n access_log " +
            (dir_ / "access.log").string() + " p;\n client_body_temp_path " + dir_.string() +
            "/b; proxy_temp_path " + dir_.string() + "/p; fastcgi_temp_path " + dir_.string() +
            "/f; uwsgi_temp_path " + dir_.string() + "/u; scgi_temp_path " + dir_.string() +
            "/s;\n server { listen 127.0.0.1:" + port + " ssl http2;\n ssl_certificate " + tls +
            "/server.cert; ssl_certificate_key " + tls +
            "/server.key;\n location / { proxy_pass "
            "http://" +
            lab.host() + "; proxy_set_header Host $http_host; } }\n}\n"));
    auto child =
        os::Process::spawn({.argv = {"/usr/sbin/nginx", "-c", (dir_ / "nginx.conf").string()},
                            .env = {os::kChildPath},
                            .fds = {},
                            .directory = {},
                            .new_session = true});
    EXPECT_TRUE(child);
    child_ = std::make_unique<os::Process>(*std::move(child));
    for (int i = 0; i < 100 && !std::filesystem::exists(dir_ / "pid"); ++i) usleep(50'000);
  }
  [[nodiscard]] std::string log() const {
    const auto text = os::read_file(dir_ / "access.log");
    return text ? *text : "";
  }
  const std::string port = "52" + std::to_string(100 + getpid() % 900);

 private:
  std::filesystem::path dir_;
  std::unique_ptr<os::Process> child_;
};

/// The big image through nginx, which speaks HTTP/2 over TLS; `how` its registry behaves.
class OverHttp2 : public Network {
 protected:
  OverHttp2() {
    proto::RegistryConfig config;
    config.ca = (lab().certificates() / "ca.crt").string();
    open(config, host_);
  }
  void expect_pulled(const std::string& how) {
    const auto pulled = store_.pull(Lab::ref_at(host_, lab().ref("big").digest.str(), how));
    ASSERT_TRUE(pulled) << pulled.error().to_string();
  }
  const Nginx nginx_{store_.dir.path(), lab()};
  const std::string host_ = "127.0.0.1:" + nginx_.port;
};

TEST_F(OverHttp2, ItIsSpokenWhereTlsOffersIt) {
  expect_pulled("plain");
  EXPECT_NE(nginx_.log().find("HTTP/2.0 /v2/plain/image/blobs/"), std::string::npos)
      << nginx_.log();
  EXPECT_EQ(nginx_.log().find("HTTP/1.1"), std::string::npos) << nginx_.log();
}

TEST_F(OverHttp2, WhatBreaksOffGoesOnAndItsPausesDoNotGrowWhileItMoves) {
  const auto start = std::chrono::steady_clock::now();
  expect_pulled("crumbs");  // eight growing pauses would be two minutes
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds{60});
}

/// A file system with few inodes.
class FewInodes : public Network {
 protected:
  FewInodes() : FewInodes("size=64m,nr_inodes=40") {}
  explicit FewInodes(const char* size) {
    EXPECT_EQ(::mount("tmpfs", disk_.path().c_str(), "tmpfs", 0, size), 0);
    auto opened = deploy::image::ImageStore::open({.state_dir = disk_.path() / "state",
                                                   .worker_path = worker_path(),
                                                   .registries = {{lab().host(), plain()}},
                                                   .clock = store_.clock,
                                                   .host_files = {{}, {}, {}}});
    EXPECT_TRUE(opened) << opened.error().to_string();
    images_ = *std::move(opened);
  }
  ~FewInodes() override {
    images_.reset();
    umount2(disk_.path().c_str(), MNT_DETACH);
  }
  os::TempDir disk_ = *os::TempDir::create("/var/tmp", "holdfast-inodes");
  std::unique_ptr<deploy::image::ImageStore> images_;
};

TEST_F(FewInodes, TheyAreCountedBeforeALayerIsFetched) {  // F-33
  const auto refused = images_->ensure({lab().ref("big"), {}}, {}, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::nospace) << refused.error().to_string();
  EXPECT_NE(refused.error().what().find("inodes"), std::string::npos) << refused.error().what();
  EXPECT_NE(refused.error().next_step(), "");
  EXPECT_TRUE(std::filesystem::is_empty(disk_.path() / "state/layers"));
}

class ASmallDisk : public FewInodes {
 protected:
  explicit ASmallDisk(const char* size = "size=2g,nr_inodes=20000") : FewInodes(size) {}

  /// The least that was free of it while the image was pulled, which it must not hold.
  struct Least {
    std::uint64_t bytes = ~std::uint64_t{0};
    std::uint64_t inodes = ~std::uint64_t{0};
  };
  Least least_during(const char* image) {
    Least least;
    std::jthread watcher{[&](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        struct statvfs info {};
        ::statvfs(disk_.path().c_str(), &info);
        least.bytes = std::min<std::uint64_t>(least.bytes, info.f_bavail * info.f_frsize);
        least.inodes = std::min<std::uint64_t>(least.inodes, info.f_favail);
        std::this_thread::sleep_for(std::chrono::milliseconds{1});
      }
    }};
    const auto refused = images_->ensure({lab().ref(image), {}}, {}, {});
    EXPECT_FALSE(refused);
    if (!refused) {
      EXPECT_EQ(refused.error().code(), Errc::nospace) << refused.error().to_string();
      EXPECT_NE(refused.error().next_step(), "");
    }
    watcher.request_stop();
    watcher.join();
    return least;
  }
};

TEST_F(ASmallDisk, KeepsItsReserveOfInodesHoweverManyLayersAreUnpackedAtATime) {
  EXPECT_GT(least_during("crowd").inodes, 500U) << "of a reserve of 1,000";
}

class AFullDisk : public ASmallDisk {
 protected:
  AFullDisk() : ASmallDisk("size=100m,nr_inodes=20000") {}
};

/// Three layers of 40 MiB of zeros are 120 kB compressed.
TEST_F(AFullDisk, KeepsItsReserveOfBytesHoweverManyLayersAreUnpackedAtATime) {
  EXPECT_GT(least_during("zeros").bytes, 0U) << "of a reserve of 5 MiB";
}

TEST_F(AFullDisk, KeepsItsReserveOfBytesWhereLayersCopyFilesOfThoseBelow) {
  EXPECT_GT(least_during("copy-ups").bytes, 0U);
}

/// 36,000 bytes, each in a block of its own, take 140 MiB.
TEST_F(AFullDisk, KeepsItsReserveOfBytesWhereSingleOnesAreFarApart) {
  EXPECT_GT(least_during("dotted").bytes, 0U);
}

}  // namespace
}  // namespace holdfast::test
