#include <sys/resource.h>
#include <sys/stat.h>

#include "common/os/file.hpp"
#include "deploy/runtime/observe/upper_walk.hpp"
#include "tests/component/deploy/runtime/fixture.hpp"

namespace holdfast::test {
namespace {

using rt::InstanceId;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// A chain of directories that no path can name.
void nest(const fs::path& top, int levels) {
  os::UniqueFd at{open(top.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  for (int i = 0; i < levels; ++i) {
    ASSERT_EQ(mkdirat(at.get(), "d", 0755), 0);
    at.reset(openat(at.get(), "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(at);
  }
}

void spread(const fs::path& top, int count) {
  const os::UniqueFd at{open(top.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  for (int i = 0; i < count; ++i) ASSERT_EQ(mkdirat(at.get(), std::to_string(i).c_str(), 0755), 0);
}

class Writes : public RuntimeTest {
 protected:
  void create_writable() {
    auto service = a_service(idle());
    service.security.read_only = false;
    create(spec("web-1", service));
  }
  [[nodiscard]] fs::path upper() const { return paths().kept(InstanceId{"web-1"}) / "upper"; }
  std::string found() {
    for (const auto& deviation : see_closely("web-1").deviations)
      if (deviation.kind == proto::DriftKind::writes) return deviation.evidence;
    return {};
  }
};

TEST_F(Writes, BelowAWritableRootAreNamedAndTold) {
  create_writable();
  const Told told;
  runtime_->watch([told](const InstanceId&, rt::Change) { ++told; });
  EXPECT_EQ(found(), "");
  write(upper() / "etc/passwd", "x");
  EXPECT_TRUE(eventually([&] { return found() == "/etc/passwd"; })) << found();
  EXPECT_TRUE(eventually([&] { return told > 0; }));
}

TEST_F(Writes, ADeepTreeIsAnAnswerAndCanBeRemoved) {
  create_writable();
  nest(upper(), 15'000);
  const auto before = clock_.boot();
  EXPECT_TRUE(eventually([&] { return found().find("more than") != std::string::npos; }));
  const auto look = clock_.boot();
  (void)see("web-1", rt::InspectionDepth::full);
  EXPECT_LT(clock_.boot() - look, Milliseconds{100}) << "the engine waits for it";
  EXPECT_LT(look - before, Milliseconds{2'000});
  ASSERT_TRUE(runtime_->remove(InstanceId{"web-1"}, {}));
  EXPECT_FALSE(fs::exists(paths().kept(InstanceId{"web-1"})));
}

TEST_F(Writes, AWideTreeIsAnAnswerAndCanBeRemoved) {
  create_writable();
  spread(upper(), 25'000);
  // The bound of entries, or on a busy machine that of time; each of them: EndsAtEachBound.
  EXPECT_TRUE(eventually([&] { return found().starts_with("more than "); })) << found();
  const auto look = clock_.boot();
  (void)see("web-1", rt::InspectionDepth::full);
  EXPECT_LT(clock_.boot() - look, Milliseconds{100}) << "the engine waits for it";
  ASSERT_TRUE(runtime_->remove(InstanceId{"web-1"}, {}));
}

class UpperWalk : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = os::TempDir::create("/tmp", "hf-walk-");
    if (!made) FAIL() << made.error().to_string();
    dir_.emplace(std::move(*made));
  }
  rt::WrittenPaths walk(const rt::WalkBounds& bounds) {
    auto found = rt::written_paths(dir_->path(), bounds);
    EXPECT_TRUE(found);
    return found ? *found : rt::WrittenPaths{};
  }
  std::optional<os::TempDir> dir_;
};

TEST_F(UpperWalk, NamesFilesLinksAndWhatWasDeleted) {
  fs::create_directories(dir_->path() / "a/b");
  std::ofstream{dir_->path() / "a/b/file"} << "x";
  fs::create_symlink("/etc", dir_->path() / "link");
  ASSERT_EQ(mknod((dir_->path() / "gone").c_str(), S_IFCHR, 0), 0);
  const auto found = walk({});
  EXPECT_THAT(found.paths, ElementsAre("/a/b/file", "/link", "deleted /gone"));
  EXPECT_EQ(found.entries, 5U);
  EXPECT_FALSE(found.more);
}

TEST_F(UpperWalk, EndsAtEachBound) {
  spread(dir_->path(), 50);
  fs::create_directories(dir_->path() / "0/1/2/3/4");
  for (int i = 0; i < 20; ++i)
    std::ofstream{dir_->path() / "1" / (std::string(100, 'x') + std::to_string(i))} << "x";
  EXPECT_FALSE(walk({}).more);
  EXPECT_TRUE(walk({.entries = 73}).more);
  EXPECT_EQ(walk({.entries = 10}).entries, 10U);
  EXPECT_TRUE(walk({.levels = 4}).more);
  EXPECT_TRUE(walk({.bytes = 1'000}).more);
  EXPECT_TRUE(walk({.time = Milliseconds{0}}).more);
}

TEST_F(UpperWalk, WordsNameTheFirstAndCountTheRest) {
  const rt::WrittenPaths all{.paths = {}, .entries = 5, .more = false};
  EXPECT_EQ(rt::writes_text({}, all), "");
  EXPECT_EQ(rt::writes_text({"/a", "/b"}, all), "/a, /b");
  EXPECT_EQ(rt::writes_text({"/a", "/b", "/c", "/d"}, all), "/a, /b, /c and 1 more");
  const rt::WrittenPaths part{.paths = {}, .entries = 101, .more = true};
  EXPECT_EQ(rt::writes_text({"/a"}, part), "/a and more than 100 entries");
  EXPECT_EQ(rt::writes_text({}, part), "more than 100 entries");
}

TEST(RemoveTree, TakesAwayAnyDepthAndWidthWithFewDescriptors) {
  auto made = os::TempDir::create("/dev/shm", "hf-remove-");  // 35,000 directories in a second
  ASSERT_TRUE(made);
  const auto tree = made->path() / "tree";
  fs::create_directories(tree / "wide/inner");
  nest(tree, 15'000);
  spread(tree / "wide", 20'000);
  std::ofstream{tree / ".removed-0"} << "in the way of a name of ours";
  fs::create_directories(tree / ".removed-1/full");
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  std::size_t open = 0;
  for (const auto& entry : fs::directory_iterator{"/proc/self/fd"}) open += entry.exists() ? 1 : 1;
  const rlimit few{open + 8, before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &few);
  const auto removed = os::remove_tree(tree);
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_TRUE(removed) << removed.error().to_string();
  EXPECT_FALSE(fs::exists(tree));
}

}  // namespace
}  // namespace holdfast::test
