#include "common/os/tree_size.hpp"

#include <sys/stat.h>

namespace holdfast::os {
namespace {

std::uint64_t disk_bytes(const std::filesystem::path& path) {
  constexpr std::uint64_t kBlock = 512;  // whatever the file system's own is: stat(2)
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return 0;
  return static_cast<std::uint64_t>(info.st_blocks) * kBlock;
}

}  // namespace

std::uint64_t tree_size(const std::filesystem::path& path, std::size_t most_entries) {
  std::uint64_t sum = disk_bytes(path);
  std::size_t entries = 0;
  std::error_code failed;
  std::filesystem::recursive_directory_iterator it{path, failed};
  for (const std::filesystem::recursive_directory_iterator end;
       !failed && it != end && entries < most_entries; it.increment(failed), ++entries)
    sum += disk_bytes(it->path());
  return sum;
}

}  // namespace holdfast::os
