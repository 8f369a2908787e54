#pragma once
/// \file
/// What overlayfs would show for a stack of unpacked layers, without mounting it (kernel:
/// filesystems/overlayfs.rst).

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "common/os/unique_fd.hpp"

namespace holdfast::deploy::image {

/// One layer of a stack.
struct StackLayer {
  std::filesystem::path tree;
  std::set<std::string> implicit;  ///< directories that say nothing about themselves
};

struct MergedNode {
  enum class Kind { absent, directory, symlink, other } kind = Kind::absent;
  std::vector<std::size_t> layers;  ///< a directory: the layers that are merged into it, topmost
                                    ///< first; else the one that has it
  std::vector<std::size_t> below;   ///< a directory: further layers that may say how it looks,
                                    ///< though an opaque one above hides what they have in it
};

/// A read-only look at a stack. Not thread safe.
class MergedView {
 public:
  /// Errors: by errno.
  [[nodiscard]] static Result<MergedView> open(std::vector<StackLayer> layers);

  /// `path` relative to the root, no symlink followed on the way; through one it is absent.
  /// `height` layers from the bottom.
  [[nodiscard]] Result<MergedNode> look(const std::string& path, std::size_t height);
  [[nodiscard]] Result<MergedNode> look(const std::string& path) {
    return look(path, layers_.size());
  }

  /// Whether the layer at `index` has `path` as an implicit directory where the layers below show a
  /// symlink: then its entries belong where the symlink leads. Errors: by errno.
  [[nodiscard]] Result<bool> hides_symlink(std::size_t index, const std::string& path);

  /// `path` with symlinks followed in-root, as far as it exists; what does not exist stays as it
  /// is. Errors: layer_unsafe (loop), by errno.
  [[nodiscard]] Result<std::string> resolve(const std::string& path);

  /// The layer that says how the directory looks, or none when all of them made it implicitly. An
  /// opaque marker hides what is in the directory, not the directory (image-spec layer.md).
  [[nodiscard]] std::optional<std::size_t> owner(const MergedNode& directory,
                                                 const std::string& path) const;

  /// How many layers, from the lowest up, an opaque marker at the root of a later one hides.
  /// overlayfs merges the roots of all its lowers whatever they say: these must not be among them.
  /// Errors: by errno.
  [[nodiscard]] Result<std::size_t> hidden();

  [[nodiscard]] const StackLayer& layer(std::size_t index) const { return layers_[index]; }
  [[nodiscard]] std::size_t size() const noexcept { return layers_.size(); }

 private:
  enum class Seen { absent, whiteout, directory, opaque_directory, symlink, other };
  explicit MergedView(std::vector<StackLayer> layers) : layers_(std::move(layers)) {}
  /// The text of a symlink at `path`, none for anything else. Errors: by errno.
  [[nodiscard]] Result<std::optional<std::string>> link_at(const std::string& path);
  [[nodiscard]] Result<Seen> see(std::size_t layer, const std::string& path) const;
  [[nodiscard]] Result<MergedNode> step(const MergedNode& parent, const std::string& path,
                                        std::size_t below) const;

  std::vector<StackLayer> layers_;
  std::vector<os::UniqueFd> roots_;
  std::map<std::pair<std::size_t, std::string>, MergedNode> known_;
};

/// The directory of a path in an image; empty: its root.
[[nodiscard]] std::string parent_of(const std::string& path);

}  // namespace holdfast::deploy::image
