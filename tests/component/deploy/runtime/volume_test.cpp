#include "deploy/runtime/storage/volume.hpp"

#include <fcntl.h>
#include <sys/mount.h>

#include <fstream>

#include "common/os/file.hpp"
#include "tests/component/deploy/runtime/fixture.hpp"

// What a new volume is filled with, and what bounds that.

namespace holdfast::test {
namespace {

using ::testing::HasSubstr;

using Volume = RuntimeTest;

TEST_F(Volume, ANewVolumeIsFilledUpToItsBoundsAndNoFurther) {
  const rt::VolumeBounds bounds;
  EXPECT_EQ(bounds.entries, 1'000'000U);
  const rt::User user{};
  const auto fill = [&](const std::string& name, const fs::path& from, rt::VolumeBounds within) {
    const auto content = os::open_file(from, O_RDONLY | O_DIRECTORY).value();
    return rt::make_volume(
        {.path = paths().volume(name), .content = content.get(), .user = user, .bounds = within});
  };
  auto deep = root() / "deep";
  for (int level = 0; level < bounds.levels; ++level) deep /= "d";
  fs::create_directories(deep);
  fs::create_directories(paths().volume("x").parent_path());
  EXPECT_TRUE(fill("at-the-bound", root() / "deep", bounds));
  fs::create_directories(deep / "d");
  const auto beyond = fill("beyond", root() / "deep", bounds);
  ASSERT_FALSE(beyond);
  EXPECT_THAT(beyond.error().to_string(), HasSubstr("more than 64 levels"));
  EXPECT_FALSE(fs::exists(paths().volume("beyond"))) << "a volume that exists is complete";

  for (int i = 0; i < 9; ++i) write(root() / "wide/d" / std::to_string(i), "x");
  EXPECT_TRUE(fill("ten", root() / "wide", {.entries = 10}));
  const auto eleventh = fill("nine", root() / "wide", {.entries = 9});
  ASSERT_FALSE(eleventh);
  EXPECT_THAT(eleventh.error().to_string(), HasSubstr("more than 9 entries"));
}

TEST_F(Volume, ANewVolumeKeepsHolesAndTheDisksReserveAndLeavesNothingWhenItFails) {
  const rt::User user{};
  const auto disk = paths().volume("x").parent_path();
  fs::create_directories(disk);
  ASSERT_EQ(::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=64m"), 0);
  const auto fill = [&](const std::string& name, const fs::path& from, std::stop_token stop = {}) {
    const auto content = os::open_file(from, O_RDONLY | O_DIRECTORY).value();
    return rt::make_volume({.path = paths().volume(name),
                            .content = content.get(),
                            .user = user,
                            .stop = std::move(stop)});
  };
  write(root() / "holes/file", "at the beginning");
  fs::resize_file(root() / "holes/file", 9ULL << 30);
  const auto holes = fill("holes", root() / "holes");
  EXPECT_TRUE(holes) << holes.error().to_string();
  EXPECT_EQ(fs::file_size(disk / "holes/file"), 9ULL << 30);
  std::string begin(16, ' ');
  std::ifstream{disk / "holes/file"}.read(begin.data(), 16);
  EXPECT_EQ(begin, "at the beginning");
  write(root() / "large/file", std::string(70U << 20, 'x'));
  const auto large = fill("large", root() / "large");
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code(), Errc::nospace) << large.error().to_string();
  EXPECT_THAT(large.error().to_string(), HasSubstr("are kept"));
  std::stop_source stopped;
  stopped.request_stop();
  write(root() / "small/file", "x");
  EXPECT_EQ(fill("small", root() / "small", stopped.get_token()).error().code(), Errc::cancelled);
  std::vector<std::string> left;
  for (const auto& each : fs::directory_iterator{disk}) left.push_back(each.path().filename());
  EXPECT_THAT(left, ::testing::ElementsAre("holes"));
  ASSERT_EQ(::umount2(disk.c_str(), MNT_DETACH), 0);
}

}  // namespace
}  // namespace holdfast::test
