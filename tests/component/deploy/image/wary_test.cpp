// What a registry or an image asks for and must not get: trust, names, other hosts, the host's own
// programs and libraries.
#include <fcntl.h>
#include <linux/fs.h>
#include <netinet/in.h>
#include <sys/fanotify.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <set>
#include <thread>

#include "agent/worker/confine.hpp"
#include "tests/component/deploy/image/lab.hpp"

namespace holdfast::test {
namespace {

class Wary : public LabTest {
 protected:
  /// A manifest of the laboratory with `from` replaced by `to`, served under its new digest.
  static proto::ImageRef altered(const std::string& name, const std::string& from,
                                 const std::string& to, const std::string& behaviour) {
    auto text = *os::read_file(std::filesystem::path{lab().blobs()} / lab().ref(name).digest.hex());
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << text;
    text.replace(at, from.size(), to);
    const auto digest = proto::Digest::of(text);
    EXPECT_TRUE(os::write_atomic(std::filesystem::path{lab().blobs()} / digest.hex(), text, 0644));
    return lab().ref_of(digest.str(), behaviour);
  }
  static bool asked(const std::string& what) {
    return lab().hits().find('"' + what + '"') != std::string::npos;
  }
};

TEST_F(Wary, FourFaultsOfTlsAreToldApartAndNoneLeadsToPlainHttp) {  // F-57
  struct Case {
    const char* server;
    bool known;  // its authority is
    const char* what;
  };
  std::set<std::string> texts;
  std::set<std::string> steps;
  for (const auto& [server, known, what] :
       {Case{"expired", true, "has expired"}, Case{"elsewhere", true, "is for another name"},
        Case{"stranger", true, "unknown authority"}, Case{"old", true, "no TLS of version 1.2"}}) {
    SCOPED_TRACE(server);
    proto::RegistryConfig config;
    if (known) config.ca = (lab().certificates() / "ca.crt").string();
    TestStore store{{{lab().at(server), config}}};
    const auto repository = std::string{"tls-"} + server;
    const auto pulled =
        store.pull(Lab::ref_at(lab().at(server), lab().ref("gzip").digest.str(), repository));
    ASSERT_FALSE(pulled);
    EXPECT_EQ(pulled.error().code(), Errc::tls) << pulled.error().to_string();
    EXPECT_NE(pulled.error().what().find(what), std::string::npos) << pulled.error().to_string();
    EXPECT_NE(pulled.error().what().find(lab().at(server)), std::string::npos);
    texts.insert(what);
    steps.insert(pulled.error().next_step());
    EXPECT_FALSE(asked(repository + "/image/manifests"));
  }
  EXPECT_EQ(texts.size(), 4U);
  EXPECT_EQ(steps.size(), 4U) << "each has a next step of its own";
  EXPECT_FALSE(asked("plaintext")) << lab().hits();
  // The laboratory would see it.
  (void)run({"curl", "-s", "-m", "5", "http://" + lab().at("expired") + "/v2/"});
  EXPECT_TRUE(asked("plaintext"));
}

TEST_F(Wary, ATokenServerMustBeTrustedToo) {  // T-23
  proto::RegistryConfig config;
  config.plain_http = true;
  TestStore store{{{lab().host(), config}}};
  const auto pulled = store.pull(lab().ref("gzip", "token-stranger"));
  ASSERT_FALSE(pulled);
  EXPECT_EQ(pulled.error().code(), Errc::tls) << pulled.error().to_string();
  EXPECT_NE(pulled.error().what().find(lab().at("stranger")), std::string::npos);
}

TEST_F(Wary, AMalformedDigestInAManifestIsAskedOfNobody) {  // T-18
  const auto manifest =
      *os::read_file(std::filesystem::path{lab().blobs()} / lab().ref("plain").digest.hex());
  const auto layers = manifest.find("\"layers\"");
  const auto begin = manifest.find("sha256:", layers);
  const auto good = manifest.substr(begin, 71);
  int number = 0;
  const auto escape = "/tmp/holdfast-escape-" + std::to_string(::getpid());
  for (const auto& bad :
       {"sha256:../../../.." + escape, "sha256:" + std::string(64, 'A'), good.substr(0, 70),
        good + "0", "md5:" + std::string(32, 'a'), "blake3:" + std::string(64, 'a'),
        std::string{"sha256:"}, "sha512:../" + std::string(125, 'a'),
        "sha256:" + std::string(63, 'a') + "/"}) {
    SCOPED_TRACE(bad);
    TestStore store{lab()};
    const auto repository = "malformed-" + std::to_string(++number);
    const auto pulled = store.pull(altered("plain", good, bad, repository));
    ASSERT_FALSE(pulled);
    const auto code = pulled.error().code();
    EXPECT_TRUE(code == Errc::digest_unsupported || code == Errc::ref_invalid)
        << pulled.error().to_string();
    EXPECT_TRUE(asked(repository + "/image/manifests"));
    EXPECT_FALSE(asked(repository + "/image/blobs")) << lab().hits();
    EXPECT_FALSE(std::filesystem::exists(escape));
  }
}

TEST_F(Wary, WhatTheRegistrySwapsWhileItIsPulledFromChangesNothing) {  // F-60
  TestStore store{lab()};
  const auto ref = lab().ref("index", "swaps");
  const auto pulled = store.pull(ref);
  ASSERT_TRUE(pulled) << pulled.error().to_string();
  EXPECT_EQ(Mounted{pulled->image}.read("etc/passwd"), "changed\n");
  EXPECT_FALSE(asked("other")) << "only digests were asked for";
  ASSERT_TRUE(store.pull(ref)) << "what is here is not asked for again";
  TestStore another{lab()};
  const auto swapped = another.pull(ref);
  ASSERT_FALSE(swapped);
  EXPECT_EQ(swapped.error().code(), Errc::digest_mismatch) << swapped.error().to_string();
}

TEST_F(Wary, BytesThatAreRightOnceAreCheckedAgainTheSecondTime) {  // T-20
  TestStore store{lab()};
  // Its third layer goes through a symlink of the first: it is fetched again when that is known.
  const auto pulled = store.pull(lab().ref("plain", "second-bad"));
  ASSERT_FALSE(pulled);
  EXPECT_EQ(pulled.error().code(), Errc::digest_mismatch) << pulled.error().to_string();
  EXPECT_EQ(store.count("images"), 0U);
  EXPECT_EQ(store.count("ingest"), 0U);
  const auto sum = store.images->verify({}, {}, {}, {});
  ASSERT_TRUE(sum);
  EXPECT_TRUE(sum->damaged.empty());
  ASSERT_TRUE(store.pull(lab().ref("plain"))) << "an honest repository has the rest";
}

/// Somebody's port inside the host. Whoever connects is counted.
class Bystander {
 public:
  Bystander() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(fd_.get(), 5), 0);
    EXPECT_EQ(getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    url_ = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/x";
  }
  [[nodiscard]] const std::string& url() const { return url_; }
  [[nodiscard]] bool disturbed() const {
    return os::UniqueFd{::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC)}.get() >= 0;
  }

 private:
  os::UniqueFd fd_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  std::string url_;
};

TEST_F(Wary, AddressesInAManifestAreNotVisited) {  // T-21
  const Bystander bystander;
  const std::string begin = R"("layers": [{)";
  const std::string with = begin + R"("urls": [")" + bystander.url() + R"("], )";
  TestStore store{lab()};
  const auto pulled = store.pull(altered("plain", begin, with, "plain"));
  ASSERT_TRUE(pulled) << "the registry has the layer: " << pulled.error().to_string();
  TestStore another{lab()};
  const auto missing = another.pull(altered("plain", begin, with, "missing"));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code(), Errc::not_found) << missing.error().to_string();
  EXPECT_FALSE(bystander.disturbed());
  (void)run({"curl", "-s", "-m", "1", bystander.url()});
  EXPECT_TRUE(bystander.disturbed()) << "it would have been seen";
}

TEST_F(Wary, ALinkToMoreIsNotFollowed) {  // T-25
  TestStore store{lab()};
  const auto pulled = store.pull(lab().ref("gzip", "links"));
  ASSERT_TRUE(pulled) << pulled.error().to_string();
  EXPECT_FALSE(asked("redirected/manifests")) << lab().hits();
}

/// A file system of its own, watched for whoever reads or executes a file on it.
class Watched {
 public:
  Watched() {
    EXPECT_EQ(::mount("tmpfs", dir_.path().c_str(), "tmpfs", 0, "size=64m"), 0);
    fd_.reset(fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY | O_CLOEXEC));
    EXPECT_GE(fd_.get(), 0);
    EXPECT_EQ(fanotify_mark(fd_.get(), FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
                            FAN_ACCESS | FAN_OPEN_EXEC, AT_FDCWD, dir_.path().c_str()),
              0);
  }
  ~Watched() { umount2(dir_.path().c_str(), MNT_DETACH); }
  [[nodiscard]] const std::filesystem::path& path() const { return dir_.path(); }
  /// Names of the files that were read or executed since.
  std::set<std::string> touched() {
    std::set<std::string> names;
    alignas(fanotify_event_metadata) char buffer[8192];
    for (ssize_t size = 0; (size = ::read(fd_.get(), buffer, sizeof buffer)) > 0;) {
      const auto* event = reinterpret_cast<const fanotify_event_metadata*>(buffer);
      for (; FAN_EVENT_OK(event, size); event = FAN_EVENT_NEXT(event, size)) {
        const os::UniqueFd file{event->fd};
        std::error_code gone;
        names.insert(
            std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(event->fd), gone)
                .filename());
      }
    }
    return names;
  }

 private:
  os::TempDir dir_ = *os::TempDir::create("/var/tmp", "holdfast-watched");
  os::UniqueFd fd_;
};

TEST_F(Wary, NothingOfAnImageIsLoadedOrRunWhileItIsUnpacked) {  // T-09, T-10
  Watched disk;
  SystemClock clock;
  proto::RegistryConfig plain;
  plain.plain_http = true;
  auto images = deploy::image::ImageStore::open({.state_dir = disk.path() / "state",
                                                 .worker_path = worker_path(),
                                                 .registries = {{lab().host(), plain}},
                                                 .clock = clock,
                                                 .host_files = {{}, {}, {}}});
  ASSERT_TRUE(images);
  const auto pulled = (*images)->ensure({lab().ref("tools"), {}}, {}, {});
  ASSERT_TRUE(pulled) << pulled.error().to_string();
  const auto touched = disk.touched();
  const std::filesystem::path tree = pulled->image.lowers.front();
  int hostile = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator{tree}) {
    if (!file.is_regular_file()) continue;
    ++hostile;
    EXPECT_FALSE(touched.contains(file.path().filename())) << file.path();
  }
  EXPECT_GE(hostile, 20);
  ASSERT_TRUE(os::read_file(tree / "etc/nsswitch.conf"));
  EXPECT_TRUE(disk.touched().contains("nsswitch.conf")) << "reading it is seen";
  images->reset();
}

TEST_F(Wary, ADirectoryExchangedUnderTheUnpackerLeadsNowhere) {  // T-08
  constexpr int kRounds = 10'000;
  const auto outside = *os::TempDir::create("/var/tmp", "holdfast-outside");
  ASSERT_TRUE(os::make_directories(outside.path() / "d"));
  const auto link = outside.path() / "link";
  std::filesystem::create_symlink(outside.path() / "d", link);
  std::atomic<int> rounds{0};
  TestStore store{lab()};
  {
    // Exchanges the layer's directory for a symlink out of it, and back.
    std::jthread exchanger{[&](const std::stop_token& stop) {
      std::filesystem::path target;
      while (!stop.stop_requested()) {
        std::error_code gone;
        for (const auto& pull :
             std::filesystem::directory_iterator{store.dir.path() / "ingest", gone}) {
          for (const auto& layer : std::filesystem::directory_iterator{pull.path(), gone}) {
            if (layer.path().filename() != "lock") target = layer.path() / "fs/d";
          }
        }
        while (!stop.stop_requested() && syscall(SYS_renameat2, AT_FDCWD, link.c_str(), AT_FDCWD,
                                                 target.c_str(), RENAME_EXCHANGE) == 0)
          ++rounds;
      }
    }};
    const auto ref = lab().ref("many");
    for (int pulls = 0; rounds < kRounds && pulls < 30; ++pulls) {
      (void)store.pull(ref);  // it may fail
      store.images->retain({});
      (void)store.images->collect({}, {});
    }
  }
  EXPECT_GE(rounds, kRounds);
  EXPECT_TRUE(std::filesystem::is_empty(outside.path() / "d")) << "written outside";
}

/// What a child with this profile gets from system calls, one letter each: a allowed, r refused.
std::string confined(agent::worker::Profile profile, const std::vector<long>& calls) {
  const auto pipe = *os::make_pipe();
  const pid_t child = fork();
  if (child == 0) {
    std::string seen(calls.size(), '?');
    if (!agent::worker::allow_system_calls(profile)) _exit(1);
    for (std::size_t i = 0; i < calls.size(); ++i)
      seen[i] = syscall(calls[i], -1, nullptr, nullptr, 0) < 0 && errno == EPERM ? 'r' : 'a';
    _exit(::write(pipe.second.get(), seen.data(), seen.size()) > 0 ? 0 : 1);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  std::string seen(calls.size(), '?');
  EXPECT_EQ(::read(pipe.first.get(), seen.data(), seen.size()), static_cast<ssize_t>(calls.size()));
  return seen;
}

TEST(Confined, EachChildKeepsItsOwnSystemCallsAndNoOthers) {
  using agent::worker::Profile;
  const std::vector<long> calls{SYS_read,   SYS_socket, SYS_mkdirat, SYS_recvmsg,
                                SYS_execve, SYS_ptrace, SYS_mount,   SYS_bpf};
  EXPECT_EQ(confined(Profile::unpack, calls), "ararrrrr");
  EXPECT_EQ(confined(Profile::archive, calls), "arrarrrr");
  EXPECT_EQ(confined(Profile::fetch, calls), "aararrrr");
#ifdef __x86_64__
  constexpr long kX32 = 0x40000000;
  EXPECT_EQ(confined(Profile::fetch, {kX32 | SYS_socket, kX32 | SYS_read}), "rr");
#endif
}

std::size_t open_files() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& fd : std::filesystem::directory_iterator{"/proc/self/fd"})
    ++count;
  return count;
}

TEST_F(Wary, TruncatedLayersEndQuicklyAndLeaveNothingOpen) {  // T-31
  TestStore store{lab()};
  const auto before = open_files();
  for (int i = 0; i < 24; ++i) {
    SCOPED_TRACE(i);
    const BootTime begin = store.clock.boot();
    const auto pulled = store.pull(lab().ref("cut-" + std::to_string(i)));
    ASSERT_FALSE(pulled);
    EXPECT_EQ(pulled.error().code(), Errc::layer_corrupt) << pulled.error().to_string();
    EXPECT_LT(store.clock.boot() - begin, std::chrono::seconds{1});
    ASSERT_EQ(open_files(), before);
  }
  EXPECT_EQ(store.count("ingest"), 0U);
  EXPECT_EQ(store.count("layers"), 0U);
}

}  // namespace
}  // namespace holdfast::test
