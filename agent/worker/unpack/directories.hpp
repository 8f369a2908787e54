#pragma once
/// \file
/// The directories of a layer while it is unpacked: which exist, what they will look like at the
/// end, and how a name of the archive finds its parent without ever leaving the layer.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/worker/unpack/tar_entry.hpp"
#include "common/base/result.hpp"
#include "common/os/unique_fd.hpp"

namespace holdfast::agent::worker::unpack {

struct DirectoryRecord {
  bool implicit = true;  ///< no entry of the archive names it: lower layers say what it looks like
  bool opaque = false;   ///< hides everything below it in lower layers
  Attributes attributes;
};

/// All paths are canonical: no symlink in them, "" is the root. Not thread safe; nothing else may
/// write to the tree.
class Directories {
 public:
  /// `root` is the layer's tree, `lowers` the merged view of the layers below it or -1. Both are
  /// borrowed.
  Directories(int root, int lowers);

  /// The directory in which an entry with these components goes, made where it is missing, symlinks
  /// of this layer (and of the lowers, when they are given) followed in-root. Errors: layer_unsafe
  /// (symlink loop), by errno.
  [[nodiscard]] Result<std::string> ensure_parent(const std::vector<std::string>& components);

  /// A directory entry of the archive at `parent`/`name`. Errors: by errno.
  [[nodiscard]] Status declare(const std::string& parent, const std::string& name,
                               const Attributes& attributes);
  void declare_root(const Attributes& attributes);

  /// An open descriptor of the directory, valid until the next call.
  [[nodiscard]] Result<int> open(const std::string& path);

  /// Removes whatever is at `parent`/`name` in this layer, whole trees too. Nothing there is
  /// success.
  [[nodiscard]] Status remove(const std::string& parent, const std::string& name);

  void whiteout(const std::string& parent, const std::string& name) {
    whiteouts_.insert({parent, name});
  }
  void opaque(const std::string& parent) { records_[parent].opaque = true; }

  /// Where the lowers show `path`: an O_PATH descriptor, or none when absent, hidden by this layer,
  /// or without lowers.
  [[nodiscard]] Result<std::optional<os::UniqueFd>> open_lower(const std::string& path) const;

  [[nodiscard]] bool has_lowers() const noexcept { return lowers_ >= 0; }
  /// A file of the lowers, open for reading. Errors: by errno.
  [[nodiscard]] Result<os::UniqueFd> open_lower_file(const std::string& path) const;

  /// Makes the whiteouts, then sets attributes of all directories, deepest first. Errors: by errno.
  [[nodiscard]] Status finish(std::uint64_t& unsupported_xattrs);

  [[nodiscard]] std::vector<std::string> implicit_directories() const;
  /// Directories in which a whiteout was made.
  [[nodiscard]] std::vector<std::string> whiteout_parents() const {
    return {whiteout_parents_.begin(), whiteout_parents_.end()};
  }

 private:
  struct Found {
    enum class Kind { directory, symlink, absent, other } kind = Kind::absent;
    std::string target;  ///< of a symlink
  };
  [[nodiscard]] Result<Found> look(const std::string& path) const;
  [[nodiscard]] Result<Found> look_in_lowers(const std::string& path) const;
  /// The symlink at `path`, or a directory there, made when it is missing. Errors: by errno.
  Result<std::optional<std::string>> ensure(const std::string& path);
  Status make(const std::string& path);
  [[nodiscard]] bool hidden(const std::string& path) const;
  Status make_whiteout(const std::string& parent, const std::string& name);

  int root_;
  int lowers_;
  std::map<std::string, DirectoryRecord, std::less<>> records_;
  std::set<std::pair<std::string, std::string>> whiteouts_;
  std::set<std::string> whiteout_parents_;
  std::string open_path_;
  os::UniqueFd open_fd_;
};

}  // namespace holdfast::agent::worker::unpack
