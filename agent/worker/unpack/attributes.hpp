#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "agent/worker/unpack/tar_entry.hpp"
#include "common/base/result.hpp"

namespace holdfast::agent::worker::unpack {

/// What becomes of the xattrs of an image (packaging/doc/security.md 2.3, R-2.1):
/// `trusted.overlay.X` is escaped to `trusted.overlay.overlay.X` where the kernel knows that (6.7
/// and later), else dropped; `security.selinux` and `system.nfs4_acl` are dropped.
class XattrPolicy {
 public:
  explicit XattrPolicy(bool kernel_escapes) : kernel_escapes_(kernel_escapes) {}
  /// By the running kernel's release.
  [[nodiscard]] static XattrPolicy of_this_kernel();
  [[nodiscard]] std::vector<Xattr> filter(std::vector<Xattr> xattrs) const;

 private:
  bool kernel_escapes_;
};

/// Sets everything on an open file or directory, in the order chown, xattrs, chmod, times. Counts
/// what the file system cannot store into `unsupported_xattrs`. Errors: by errno.
[[nodiscard]] Status set_attributes(int fd, const Attributes& attributes,
                                    std::uint64_t& unsupported_xattrs);

/// The same for `name` in the open directory `parent`, which may be a symlink or a device and is
/// never followed. Changes the working directory.
[[nodiscard]] Status set_attributes_at(int parent, const std::string& name,
                                       const Attributes& attributes, EntryType type,
                                       std::uint64_t& unsupported_xattrs);

/// Mode, owner, mtime and xattrs of an open file or directory, overlay's own xattrs left out.
[[nodiscard]] Result<Attributes> get_attributes(int fd);

}  // namespace holdfast::agent::worker::unpack
