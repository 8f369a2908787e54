#pragma once
/// \file
/// The registry and images of image_lab.py, and a store that pulls from it.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "common/os/process.hpp"
#include "deploy/image/image_store.hpp"

namespace holdfast::test {

inline std::string environment(const char* name, const char* otherwise) {
  std::ifstream file{"/proc/self/environ", std::ios::binary};
  for (std::string line; std::getline(file, line, '\0');) {
    if (line.starts_with(std::string{name} + "=")) return line.substr(std::string{name}.size() + 1);
  }
  return otherwise;
}

inline std::string worker_path() { return environment("HOLDFAST_BIN", "bin") + "/holdfast-worker"; }
inline std::string lab_script() {
  return environment("HOLDFAST_SOURCE", ".") + "/tests/component/deploy/image/image_lab.py";
}

inline Result<os::RunResult> run(std::vector<std::string> argv) {
  os::RunOptions options;
  options.spawn = {.argv = std::move(argv),
                   .env = {os::kChildPath, "LC_ALL=C.UTF-8"},
                   .fds = {},
                   .directory = {},
                   .new_session = true};
  options.timeout = Milliseconds{120'000};
  return os::run(options);
}

/// Images built once and served on two loopback addresses for the life of the object.
class Lab {
 public:
  Lab() {
    const auto built = run({"python3", lab_script(), "build", blobs(),
                            environment("HOLDFAST_TEST_RUN", dir_.path().c_str()) + "/image-lab"});
    EXPECT_TRUE(built && os::succeeded(built->status))
        << (built ? built->err : built.error().to_string());
    std::istringstream lines{built ? built->out : ""};
    for (std::string name, digest; lines >> name >> digest;) digests_[name] = digest;
    serve();
  }

  [[nodiscard]] std::string blobs() const { return (dir_.path() / "blobs").string(); }
  [[nodiscard]] std::string host() const { return at("first"); }
  [[nodiscard]] std::string second() const { return "127.0.0.2:" + ports_.at("second"); }
  /// Speaks TLS and wants a client certificate; certificates() has what it takes.
  [[nodiscard]] std::string third() const { return at("third"); }
  /// The server of this name (image_lab.py, tls_lab.py).
  [[nodiscard]] std::string at(const std::string& name) const {
    return "127.0.0.1:" + ports_.at(name);
  }
  [[nodiscard]] std::filesystem::path certificates() const { return dir_.path() / "tls"; }

  /// The image `name` in a repository whose first component says how the registry behaves.
  [[nodiscard]] proto::ImageRef ref(const std::string& name,
                                    const std::string& behaviour = "plain") const {
    return ref_of(digests_.at(name), behaviour);
  }
  [[nodiscard]] proto::ImageRef ref_of(const std::string& digest,
                                       const std::string& behaviour = "plain") const {
    return ref_at(host(), digest, behaviour);
  }
  [[nodiscard]] static proto::ImageRef ref_at(const std::string& host, const std::string& digest,
                                              const std::string& behaviour) {
    auto parsed = proto::ImageRef::parse(host + "/" + behaviour + "/image@" + digest);
    EXPECT_TRUE(parsed) << parsed.error().to_string();
    return *parsed;
  }
  /// What /hits says: requests a repository and kind.
  [[nodiscard]] std::string hits() const { return get("/hits"); }
  /// Lets go of downloads that stall.
  void go_on() const { (void)get("/go-on"); }

 private:
  [[nodiscard]] std::string get(const std::string& path) const {
    const auto got = run({"curl", "-s", "http://" + host() + path});
    return got ? got->out : "";
  }
  void serve() {
    auto out = os::make_pipe();
    auto in = os::make_pipe();
    ASSERT_TRUE(out && in);
    auto server = os::Process::spawn({.argv = {"python3", lab_script(), "serve", blobs()},
                                      .env = {os::kChildPath},
                                      .fds = {{in->first.get(), 0}, {out->second.get(), 1}},
                                      .directory = {},
                                      .new_session = true});
    ASSERT_TRUE(server);
    server_ = std::make_unique<os::Process>(*std::move(server));
    stdin_ = std::move(in->second);
    char text[256] = "";
    const auto got = read(out->first.get(), text, sizeof text - 1);
    ASSERT_GT(got, 0);
    std::istringstream words{std::string{text}};
    for (std::string name, port; words >> name >> port;) ports_[name] = port;
  }

  os::TempDir dir_ = *os::TempDir::create("/var/tmp", "holdfast-lab");
  std::map<std::string, std::string> digests_;
  std::map<std::string, std::string> ports_;
  os::UniqueFd stdin_;
  std::unique_ptr<os::Process> server_;
};

/// A store of its own below /var/tmp.
struct TestStore {
  explicit TestStore(const std::map<std::string, proto::RegistryConfig>& registries) {
    reopen(registries);
  }
  explicit TestStore(const Lab& lab) {
    proto::RegistryConfig plain;
    plain.plain_http = true;
    reopen({{lab.host(), plain}});
  }
  void reopen(const std::map<std::string, proto::RegistryConfig>& registries) {
    images.reset();
    auto opened = deploy::image::ImageStore::open({.state_dir = dir.path(),
                                                   .worker_path = worker_path(),
                                                   .registries = registries,
                                                   .parallel_downloads = 3,
                                                   .clock = clock,
                                                   .bytes_per_second = bytes_per_second,
                                                   .keep_blobs = keep_blobs,
                                                   .host_files = host_files});
    EXPECT_TRUE(opened) << opened.error().to_string();
    images = *std::move(opened);
  }
  Result<deploy::image::Pulled> pull(const proto::ImageRef& ref, const std::stop_token& stop = {}) {
    return images->ensure({ref, {}}, {}, stop);
  }
  [[nodiscard]] std::size_t count(const char* below) const {
    std::size_t n = 0;
    for ([[maybe_unused]] const auto& e : std::filesystem::directory_iterator{dir.path() / below})
      ++n;
    return n;
  }

  os::TempDir dir = *os::TempDir::create("/var/tmp", "holdfast-store");
  SystemClock clock;
  std::uint64_t bytes_per_second = 0;               ///< from the next `reopen` on
  bool keep_blobs = false;                          ///< the same
  deploy::fetch::HostFiles host_files{{}, {}, {}};  ///< nothing of this host's
  std::unique_ptr<deploy::image::ImageStore> images;
};

/// An image's lowers, mounted read-only as the runtime does it.
class Mounted {
 public:
  explicit Mounted(const deploy::image::StoredImage& image) {
    std::string options = "redirect_dir=nofollow,metacopy=off,index=off,lowerdir=";
    std::vector<os::UniqueFd> fds;
    for (auto it = image.lowers.rbegin(); it != image.lowers.rend(); ++it) {
      auto fd = os::open_file(*it, O_PATH | O_DIRECTORY);
      EXPECT_TRUE(fd);
      options +=
          (it == image.lowers.rbegin() ? "" : ":") + ("/proc/self/fd/" + std::to_string(fd->get()));
      fds.push_back(*std::move(fd));
    }
    mounted_ = ::mount("overlay", dir_.path().c_str(), "overlay", MS_RDONLY, options.c_str()) == 0;
    EXPECT_TRUE(mounted_) << options;
  }
  ~Mounted() {
    if (mounted_) umount2(dir_.path().c_str(), MNT_DETACH);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return dir_.path(); }
  [[nodiscard]] std::string read(const std::string& name) const {
    auto text = os::read_file(path() / name);
    return text ? *text : text.error().to_string();
  }
  [[nodiscard]] bool exists(const std::string& name) const {
    return std::filesystem::exists(std::filesystem::symlink_status(path() / name));
  }

 private:
  os::TempDir dir_ = *os::TempDir::create("/var/tmp", "holdfast-mount");
  bool mounted_ = false;
};

/// One laboratory for all tests of a program: it starts a registry.
class LabTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { lab_ = std::make_unique<Lab>(); }
  static void TearDownTestSuite() { lab_.reset(); }
  static Lab& lab() { return *lab_; }

 private:
  static inline std::unique_ptr<Lab> lab_;
};

}  // namespace holdfast::test
