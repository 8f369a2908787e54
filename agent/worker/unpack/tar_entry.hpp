#pragma once
#include <cstdint>
#include <ctime>
#include <string>
#include <vector>

namespace holdfast::agent::worker::unpack {

enum class EntryType : std::uint8_t {
  file,
  hard_link,
  symlink,
  char_device,
  block_device,
  directory,
  fifo,
};

struct Xattr {
  std::string name;
  std::string value;
};

/// A run of stored data of a sparse file; what lies between the runs is zero.
struct SparseRun {
  std::uint64_t offset;
  std::uint64_t length;
};

/// Owner, mode, time: what every kind of entry has.
struct Attributes {
  std::uint32_t mode = 0755;  ///< the low twelve bits
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  timespec mtime{0, 0};
  std::vector<Xattr> xattrs;
};

/// One member of a tar archive, extended headers already applied. Names are bytes, as recorded.
struct Entry {
  EntryType type = EntryType::file;
  std::string path;
  std::string link;
  Attributes attributes;
  std::uint64_t size = 0;  ///< of the file as it will be on disk
  std::uint32_t device_major = 0;
  std::uint32_t device_minor = 0;
  bool sparse = false;
  std::vector<SparseRun> runs;  ///< when `sparse`; sorted, not overlapping, within `size`
};

}  // namespace holdfast::agent::worker::unpack
