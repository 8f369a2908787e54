#pragma once
/// \file
/// A runtime over directories of its own, with images made on the spot from the host's static
/// busybox.

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/base/clock.hpp"
#include "common/os/environment.hpp"
#include "common/os/file.hpp"
#include "common/os/process.hpp"
#include "deploy/network/port/attachments.hpp"
#include "deploy/runtime/container_runtime.hpp"
#include "deploy/runtime/lifecycle.hpp"
#include "tests/support/told.hpp"

namespace holdfast::test {

namespace rt = deploy::runtime;
namespace fs = std::filesystem;

/// Network namespaces with nothing but their address, pinned like the real ones; no CNI.
class PinnedNamespaces final : public deploy::network::Attachments {
 public:
  explicit PinnedNamespaces(fs::path directory) : directory_(std::move(directory)) {
    fs::create_directories(directory_);
  }
  ~PinnedNamespaces() override {
    for (const auto& entry : fs::directory_iterator{directory_})
      umount2(entry.path().c_str(), MNT_DETACH);
  }

  Result<deploy::network::Attachment> attach(const std::string& id) override {
    const auto path = directory_ / id;
    const std::lock_guard lock{mutex_};
    if (attached_.contains(id)) return attached_.at(id);
    std::ofstream{path};
    const deploy::network::Attachment made{
        .netns = path, .address = 0x0A590002U + static_cast<std::uint32_t>(attached_.size())};
    int failed = 0;
    std::thread{[&] {
      os::RunOptions options;
      options.spawn.argv = {"ip",  "addr", "add", deploy::plan::address_text(made.address) + "/32",
                            "dev", "lo"};
      options.spawn.env = {os::kChildPath};
      if (unshare(CLONE_NEWNET) != 0 ||
          mount("/proc/thread-self/ns/net", path.c_str(), nullptr, MS_BIND, nullptr) != 0)
        failed = errno;
      else if (const auto ran = os::run(options); !ran || !os::succeeded(ran->status))
        failed = EIO;
    }}.join();
    if (failed != 0) return errno_error(failed, "pin namespace");
    attached_.emplace(id, made);
    return made;
  }
  Status detach(const std::string& id) override {
    const std::lock_guard lock{mutex_};
    umount2((directory_ / id).c_str(), MNT_DETACH);
    fs::remove(directory_ / id);
    attached_.erase(id);
    return ok();
  }
  Result<std::optional<deploy::network::Attachment>> find(const std::string& id) override {
    const std::lock_guard lock{mutex_};
    if (!fs::exists(directory_ / id)) return std::optional<deploy::network::Attachment>{};
    return std::optional{
        deploy::network::Attachment{.netns = directory_ / id, .address = 0x0A590002U}};
  }
  Result<std::size_t> sweep(const std::set<std::string>&) override { return std::size_t{0}; }
  /// Unpins everything, also what another process pinned.
  void forget_all() {
    const std::lock_guard lock{mutex_};
    for (const auto& entry : fs::directory_iterator{directory_}) {
      umount2(entry.path().c_str(), MNT_DETACH);
      fs::remove(entry.path());
    }
    attached_.clear();
  }
  std::size_t count() {
    const std::lock_guard lock{mutex_};
    return attached_.size();
  }

 private:
  fs::path directory_;
  std::mutex mutex_;
  std::map<std::string, deploy::network::Attachment> attached_;
};

inline proto::Service a_service(std::vector<std::string> command) {
  const auto digest = proto::Digest::of("image");
  proto::Service service{.image = {.host = "registry.example",
                                   .repository = "busybox",
                                   .tag = "1.0.0",
                                   .digest = digest},
                         .entrypoint = {},
                         .command = std::move(command),
                         .env = {},
                         .working_dir = {},
                         .secrets = {},
                         .publish = {},
                         .volumes = {},
                         .tmpfs = {},
                         .resources = {},
                         .health = {},
                         .update = {},
                         .depends_on = {},
                         .security = {},
                         .restart = proto::Restart::always,
                         .stop = {},
                         .network = proto::NetworkMode::isolated,
                         .run_hash = proto::Digest::of("run"),
                         .policy_hash = proto::Digest::of("policy")};
  service.security.user = "1000:1000";
  return service;
}

/// The command of a service that runs until it is told to end, at once.
inline std::vector<std::string> idle() {
  return {"/bin/sh", "-c",
          "trap 'exit 0' TERM; echo ready; while :; do sleep 1000 & wait $!; done"};
}

class RuntimeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) FAIL() << "these tests need root";
    auto dir = os::TempDir::create("/tmp", "hf-rt-");
    if (!dir) FAIL() << dir.error().to_string();
    dir_.emplace(std::move(*dir));
    name_ = fmt::format("rt{}", getpid());
    make_rootfs();
    network_ = std::make_unique<PinnedNamespaces>(root() / "netns");
    reopen();
  }
  void TearDown() override {
    if (!dir_) return;
    if (runtime_) {
      if (auto seen = runtime_->observe(rt::InspectionDepth::due)) {
        for (const auto& instance : *seen) {
          const auto removed = runtime_->remove(instance.id, {});
          EXPECT_TRUE(removed) << (removed ? "" : removed.error().to_string());
        }
      }
      runtime_.reset();
    }
    umount2((root() / "run/mnt").c_str(), MNT_DETACH);
    network_.reset();
  }

  [[nodiscard]] fs::path root() const { return dir_->path(); }
  [[nodiscard]] rt::Paths paths() const {
    return {.state_dir = root() / "state", .run_dir = root() / "run"};
  }

  void make_rootfs() const {
    const auto rootfs = image_dir();
    for (const char* directory : {"bin", "etc", "home/app"})
      fs::create_directories(rootfs / directory);
    fs::copy_file("/bin/busybox", rootfs / "bin/busybox");
    for (const char* applet :
         {"sh",   "sleep", "cat",   "ls",  "id",  "echo",     "grep", "touch", "mkdir",
          "kill", "true",  "false", "env", "pwd", "hostname", "dd",   "wc",    "yes",
          "head", "stat",  "mount", "ps",  "seq", "tail",     "rm"})
      fs::create_symlink("busybox", rootfs / "bin" / applet);
    write(rootfs / "etc/passwd",
          "root:x:0:0:root:/root:/bin/sh\napp:x:1234:1235:app:/home/app:/bin/sh\n");
    write(rootfs / "etc/group", "root:x:0:\napp:x:1235:\nextra:x:2000:app,other\n");
    fs::create_directories(root() / "image/top");
  }
  static void write(const fs::path& path, std::string_view text) {
    fs::create_directories(path.parent_path());
    std::ofstream{path} << text;
  }
  static std::string slurp(const fs::path& path) {
    auto text = os::read_file(path);
    return text ? *text : std::string{};
  }
  [[nodiscard]] fs::path image_dir() const { return root() / "image/base"; }

  [[nodiscard]] deploy::image::StoredImage image() const {
    const auto digest = proto::Digest::of("image");
    return {.pinned = digest,
            .manifest = proto::Digest::of("manifest"),
            .config = config_,
            .lowers = {image_dir(), root() / "image/top"},
            .unpacked_size = Bytes{0}};
  }
  [[nodiscard]] rt::InstanceSpec spec(const std::string& id, proto::Service service) const {
    return {.id = rt::InstanceId{id},
            .service = proto::ServiceName{"web"},
            .generation = 7,
            .wanted = std::move(service),
            .image = image(),
            .hosts = {{"db", 0x0A5A0001U}}};
  }

  static fs::path log_writer() {
    return os::environment("HOLDFAST_BIN").value_or("bin") + "/holdfast-log";
  }
  /// Another life of the agent over the same directories.
  void reopen() {
    runtime_.reset();
    auto opened =
        rt::ContainerRuntime::open({.state_dir = paths().state_dir,
                                    .run_dir = paths().run_dir,
                                    .instance = name_,
                                    .runtime = proto::RuntimeChoice::automatic,
                                    .log_writer = log_writer(),
                                    .exec_session = log_writer().parent_path() / "holdfast-exec",
                                    .log_max_size = log_max_size_},
                                   clock_, *network_);
    if (!opened) FAIL() << opened.error().to_string();
    runtime_ = std::move(*opened);
  }
  void create(const rt::InstanceSpec& wanted) {
    auto created = runtime_->create(wanted, {});
    if (!created) FAIL() << created.error().to_string();
  }
  /// With what is looked at off the engine's thread: that takes milliseconds.
  rt::ObservedInstance see_closely(const std::string& id) {
    EXPECT_TRUE(runtime_->observe(rt::InspectionDepth::full));
    std::this_thread::sleep_for(Milliseconds{100});
    return see(id, rt::InspectionDepth::liveness);
  }
  rt::ObservedInstance see(const std::string& id,
                           rt::InspectionDepth look = rt::InspectionDepth::due) {
    auto seen = runtime_->observe(look);
    EXPECT_TRUE(seen);
    for (auto& instance : *seen)
      if (instance.id.str() == id) return instance;
    ADD_FAILURE() << id << " is not there";
    const auto none = proto::Digest::of("none");
    return {.id = {},
            .service = {},
            .generation = 0,
            .run_hash = none,
            .image = none,
            .manifest = none,
            .exit = {},
            .deviations = {}};
  }
  /// Polls for at most 5 s.
  template <class Predicate>
  bool eventually(Predicate predicate) {
    const auto deadline = clock_.boot() + std::chrono::seconds{5};
    while (clock_.boot() < deadline) {
      if (predicate()) return true;
      os::sleep_until(clock_.boot() + Milliseconds{5}, {});
    }
    return predicate();
  }
  /// Ended; a zombie that PID 1 has yet to collect counts.
  static bool gone(int pid) {
    const auto process = rt::identify(pid);
    return !process || !rt::alive(*process);
  }
  std::string log_of(const std::string& id) {
    auto lines = runtime_->last_lines(rt::InstanceId{id}, 1000);
    std::string out;
    if (lines)
      for (const auto& line : *lines) out += line + "\n";
    return out;
  }
  /// Runs a script to its end in a new instance and returns what it wrote.
  std::string output_of(const std::string& id, rt::InstanceSpec wanted) {
    create(wanted);
    EXPECT_TRUE(
        eventually([&] { return see(id).state == rt::InstanceState::exited && see(id).exit; }));
    return log_of(id);
  }
  std::string script(const std::string& id, const std::string& text) {
    return output_of(id, spec(id, a_service({"/bin/sh", "-c", text})));
  }

  SystemClock clock_;
  std::optional<os::TempDir> dir_;
  std::string name_;
  proto::oci::ImageConfig config_;
  Bytes log_max_size_{10U << 20};
  std::unique_ptr<PinnedNamespaces> network_;
  std::unique_ptr<rt::ContainerRuntime> runtime_;
};

}  // namespace holdfast::test
