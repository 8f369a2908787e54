#include "deploy/runtime/spec/devices.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>
#include <string>

namespace holdfast::deploy::runtime {
namespace {

using ::testing::HasSubstr;

/// A character device of its own name.
class Node {
 public:
  explicit Node(unsigned minor)
      : path_(std::filesystem::temp_directory_path() /
              ("holdfast-device-" + std::to_string(::getpid()) + "-" + std::to_string(minor))) {
    EXPECT_EQ(::mknod(path_.c_str(), S_IFCHR | 0600, makedev(1, minor)), 0);
  }
  ~Node() { std::filesystem::remove(path_); }
  [[nodiscard]] Result<std::vector<DeviceNode>> find() const {
    return find_devices({{.source = path_.string(), .target = "/dev/x"}});
  }

 private:
  std::filesystem::path path_;
};

TEST(Devices, TheMemoryOfTheHostIsRefusedWhateverItsName) {
  for (const unsigned minor : {1U, 2U, 4U}) {
    const auto refused = Node{minor}.find();
    ASSERT_FALSE(refused) << minor;
    EXPECT_EQ(refused.error().code(), Errc::host);
    EXPECT_THAT(refused.error().what(), HasSubstr("memory of the host"));
  }
  const auto null = Node{3}.find();
  ASSERT_TRUE(null) << null.error().to_string();
  EXPECT_EQ(null->at(0).minor, 3U);
}

}  // namespace
}  // namespace holdfast::deploy::runtime
