// The power goes at durable steps of pulls, collections, leases and of the making of instances:
// what was not flushed is gone, every later write fails, and after the next mount the store is true
// (packaging/doc/security.md 7, F-22, F-26, I-6). HOLDFAST_FAULT_POINTS=all: at every step.
#include <gmock/gmock.h>
#include <sched.h>

#include "tests/component/deploy/image/lab.hpp"
#include "tests/component/faults/sweep.hpp"

namespace holdfast::test {
namespace {

using faults::Life;
using faults::Told;
namespace fsys = std::filesystem;

/// An image that shares nothing with the one that is pulled.
constexpr const char* kUnrelated = "through-symlink";

class StorePowerCut : public LabTest {
 protected:
  void SetUp() override {
    // A namespace of its own: else a process of another test that copies the mounts keeps the file
    // system, shut down as it is, alive.
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    const auto made = test::run({"truncate", "-s", "96M", image_.string()});
    ASSERT_TRUE(made && os::succeeded(made->status));
    store_.images.reset();
  }
  void TearDown() override {
    store_.images.reset();
    if (mounted_) unmount();
  }
  void tool(std::vector<std::string> argv) {
    const auto done = test::run(argv);
    ASSERT_TRUE(done && os::succeeded(done->status)) << argv.front() << (done ? done->err : "");
  }
  void mount() {
    tool({"mount", "-o", "loop", image_.string(), store_.dir.path().string()});
    mounted_ = true;
  }
  void unmount() {
    // The children of the life before may still be ending.
    for (int i = 0; i < 200 && ::umount2(store_.dir.path().c_str(), 0) != 0; ++i) usleep(10'000);
    mounted_ = false;
  }
  void open() {
    proto::RegistryConfig plain;
    plain.plain_http = true;
    store_.reopen({{lab().host(), plain}});
  }
  /// A new file system with one image on it, durable.
  void begin() {
    store_.images.reset();
    if (mounted_) unmount();
    tool({"mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,nodiscard", image_.string()});
    mount();
    open();
    ASSERT_TRUE(store_.pull(lab().ref(kUnrelated)));
    store_.images.reset();
  }
  void expect_true_store(const Life& life) {
    EXPECT_TRUE(life.killed) << life.words;
    unmount();
    mount();
    open();
    for (int i = 0; i < 100 && store_.count("ingest") > 0; ++i) {
      usleep(10'000);
      open();
    }
    for (const auto& blob : fsys::directory_iterator{store_.dir.path() / "blobs/sha256"}) {
      const auto name = blob.path().filename().string();
      const auto bytes = os::read_file(blob.path());
      // A name may come before its bytes; it counts only when a record needs it, which is durable
      // later.
      if (name.find('.') == std::string::npos && bytes && proto::Digest::of(*bytes).hex() != name)
        ++torn_;
    }
    const auto sum = store_.images->verify({}, {}, {}, {});
    ASSERT_TRUE(sum) << sum.error().to_string();
    EXPECT_THAT(sum->damaged, testing::IsEmpty());
    EXPECT_TRUE(store_.images->find(lab().ref(kUnrelated).digest));
    const auto gzip = store_.images->find(lab().ref("gzip").digest);
    EXPECT_TRUE(life.acknowledged == 0 || gzip) << "an acknowledged pull is lost";
    const auto again = store_.pull(lab().ref("gzip"));
    ASSERT_TRUE(again) << again.error().to_string();
    const auto whole = store_.images->verify({}, {}, {}, {});
    EXPECT_TRUE(whole && whole->damaged.empty());
    store_.images.reset();
  }

  TestStore store_{lab()};
  os::TempDir files_ = *os::TempDir::create("/var/tmp", "holdfast-cut");
  fsys::path image_ = files_.path() / "disk.img";
  bool mounted_ = false;
  int torn_ = 0;
};

TEST_F(StorePowerCut, AtAnyStepOfAPullNothingTornIsBelievedAndNothingAcknowledgedLost) {
  for (const char* rule : {"any:{}=cut-before", "any:{}=cut-after"}) {
    test::run({.rule = rule,
               .below = store_.dir.path(),
               .least = 20,
               .step = 20,
               .begin = [this] { begin(); },
               .work =
                   [this](Told& told) {
                     open();
                     const auto pulled = store_.pull(lab().ref("gzip"));
                     if (pulled) told.acknowledged = 1;
                     return pulled ? 0 : 1;
                   },
               .expect = [this](const Life& life) { expect_true_store(life); }});
  }
  std::printf("%d documents were there without their bytes, and fetched again\n", torn_);
}

TEST_F(StorePowerCut, AtAnyStepOfACollectionAndALeaseWhatIsNeededStays) {
  test::run({.rule = "any:{}=cut-after",
             .below = store_.dir.path(),
             .least = 5,
             .step = 8,
             .begin =
                 [this] {
                   begin();
                   open();
                   ASSERT_TRUE(store_.pull(lab().ref("gzip")));
                   store_.images.reset();
                 },
             .work =
                 [this](Told& told) {
                   faults::disarm();
                   open();
                   faults::arm();
                   const auto until = store_.clock.wall() + std::chrono::hours{1};
                   if (!store_.images->lease(lab().ref(kUnrelated).digest, until, "test")) return 1;
                   told.step = 1;
                   store_.images->retain({});
                   return store_.images->collect({}, {}) ? 0 : 1;
                 },
             .expect =
                 [this](const Life& life) {
                   expect_true_store(life);
                   open();
                   const auto all = store_.images->inventory();
                   ASSERT_TRUE(all);
                   bool leased = false;
                   for (const auto& one : *all)
                     leased =
                         leased || (one.pinned == lab().ref(kUnrelated).digest && one.leased_until);
                   EXPECT_TRUE(life.step == 0 || leased) << "an acknowledged lease is lost";
                   store_.images.reset();
                 }});
}

}  // namespace
}  // namespace holdfast::test
