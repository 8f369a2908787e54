#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agent/worker/unpack/attributes.hpp"
#include "agent/worker/unpack/content_sum.hpp"
#include "agent/worker/unpack/directories.hpp"
#include "agent/worker/unpack/tar_reader.hpp"
#include "common/base/result.hpp"
#include "common/os/disk_floor.hpp"

namespace holdfast::agent::worker::unpack {

struct LayerSummary {
  std::uint64_t entries = 0;
  bool needs_lower =
      false;  ///< a hard link names a file of a lower layer: unpack again with the lowers given
  std::vector<std::string> implicit_directories;
  std::vector<std::string> whiteout_parents;
  std::uint64_t unsupported_xattrs = 0;
  SumsByInode sums;  ///< of files whose content passed by in order
};

/// Writes all of it at `offset`. Errors: by errno.
[[nodiscard]] Status write_at(int fd, std::span<const std::byte> data, std::uint64_t offset);

/// Applies a layer's archive to an empty directory as an overlay lower: whiteouts become character
/// devices 0:0, opaque directories carry `trusted.overlay.opaque` (image-spec layer.md;
/// packaging/doc/security.md 2.3, 2.4). Writes through descriptors below `root` only. Not thread
/// safe; expects umask 0.
class LayerWriter {
 public:
  /// `lowers`: the merged view of the layers below, or -1 to unpack the layer by itself. Both are
  /// borrowed. `most_bytes`: of all files together, holes too, by their sizes.
  LayerWriter(int root, int lowers, XattrPolicy policy, std::uint64_t most_bytes,
              const os::DiskFloor& floor);

  /// Errors: layer_unsafe, layer_limit, layer_corrupt, nospace, and by errno.
  [[nodiscard]] Result<LayerSummary> apply_all(TarReader& tar);

 private:
  Status apply(Entry& entry, TarReader& tar);
  Status whiteout(const std::string& parent, const std::string& name);
  Status place(const Entry& entry, TarReader& tar, const std::string& parent,
               const std::string& name);
  Status file(const Entry& entry, TarReader& tar, const std::string& parent,
              const std::string& name);
  Status fill(int fd, const Entry& entry, TarReader& tar);
  Status count_bytes(std::uint64_t size);
  Status remember(int fd, std::optional<std::uint64_t> sum);
  Status hard_link(const Entry& entry, const std::string& parent, const std::string& name);
  Status copy_up(const std::string& path);
  Status special(const Entry& entry, const std::string& parent, const std::string& name);

  int root_;
  std::uint64_t bytes_left_;
  os::DiskFloor floor_;
  XattrPolicy policy_;
  Directories directories_;
  LayerSummary summary_;
  std::string last_prefix_;
  std::string last_parent_;
  bool last_valid_ = false;
};

}  // namespace holdfast::agent::worker::unpack
