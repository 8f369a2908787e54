#include "deploy/image/layers/merged_view.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>

#include "common/base/in_root.hpp"
#include "common/base/text.hpp"
#include "common/os/file.hpp"

namespace holdfast::deploy::image {
std::string parent_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? std::string{} : path.substr(0, slash);
}

Result<MergedView> MergedView::open(std::vector<StackLayer> layers) {
  MergedView view{std::move(layers)};
  for (const auto& layer : view.layers_) {
    HF_ASSIGN(auto root, os::open_file(layer.tree, O_PATH | O_DIRECTORY));
    view.roots_.push_back(std::move(root));
  }
  return view;
}

Result<MergedView::Seen> MergedView::see(std::size_t layer, const std::string& path) const {
  // Every directory on the way was seen to be one in this layer, so no symlink is followed here.
  struct stat info {};
  const int flags = AT_SYMLINK_NOFOLLOW | (path.empty() ? AT_EMPTY_PATH : 0);
  if (fstatat(roots_[layer].get(), path.c_str(), &info, flags) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return Seen::absent;
    return errno_error(errno, "look at " + printable(path));
  }
  if (S_ISCHR(info.st_mode) && info.st_rdev == 0) return Seen::whiteout;
  if (S_ISLNK(info.st_mode)) return Seen::symlink;
  if (!S_ISDIR(info.st_mode)) return Seen::other;
  const std::string full = fmt::format("/proc/self/fd/{}/{}", roots_[layer].get(), path);
  char value = 0;
  const ssize_t size = lgetxattr(full.c_str(), "trusted.overlay.opaque", &value, 1);
  return size == 1 && value == 'y' ? Seen::opaque_directory : Seen::directory;
}

Result<MergedNode> MergedView::step(const MergedNode& parent, const std::string& path,
                                    std::size_t below) const {
  MergedNode node;
  if (parent.kind != MergedNode::Kind::directory) return node;
  bool covered = false;
  for (const std::size_t layer : parent.layers) {
    if (layer >= below) continue;
    HF_ASSIGN(const Seen seen, see(layer, path));
    if (seen == Seen::absent) continue;
    if (seen == Seen::whiteout) break;
    const bool directory = seen == Seen::directory || seen == Seen::opaque_directory;
    if (covered) {
      if (!directory) break;
      node.below.push_back(layer);
      continue;
    }
    if (seen == Seen::symlink || seen == Seen::other) {
      if (node.layers.empty())
        node = {seen == Seen::symlink ? MergedNode::Kind::symlink : MergedNode::Kind::other,
                {layer}};
      break;
    }
    node.kind = MergedNode::Kind::directory;
    node.layers.push_back(layer);
    covered = seen == Seen::opaque_directory;
  }
  return node;
}

Result<MergedNode> MergedView::look(const std::string& path, std::size_t height) {
  const auto key = std::pair{height, path};
  if (const auto it = known_.find(key); it != known_.end()) return it->second;
  MergedNode node;
  if (path.empty()) {
    node.kind = MergedNode::Kind::directory;
    bool covered = false;
    for (std::size_t i = height; i-- > 0;) {
      (covered ? node.below : node.layers).push_back(i);
      if (covered) continue;
      HF_ASSIGN(const Seen seen, see(i, ""));
      covered = seen == Seen::opaque_directory;
    }
  } else {
    HF_ASSIGN(const MergedNode parent, look(parent_of(path), height));
    HF_ASSIGN(node, step(parent, path, height));
  }
  known_.emplace(key, node);
  return node;
}

Result<std::size_t> MergedView::hidden() {
  HF_ASSIGN(const MergedNode root, look(""));
  return root.below.size();
}

Result<bool> MergedView::hides_symlink(std::size_t index, const std::string& path) {
  if (path.empty()) return false;
  HF_ASSIGN(const MergedNode parent, look(parent_of(path), index + 1));
  HF_ASSIGN(const MergedNode below, step(parent, path, index));
  return below.kind == MergedNode::Kind::symlink;
}

Result<std::optional<std::string>> MergedView::link_at(const std::string& path) {
  HF_ASSIGN(const MergedNode node, look(path));
  if (node.kind != MergedNode::Kind::symlink) return std::optional<std::string>{};
  std::array<char, PATH_MAX> target{};
  const int root = roots_[node.layers.front()].get();
  const ssize_t size = readlinkat(root, path.c_str(), target.data(), target.size());
  if (size < 0) return errno_error(errno, "read symlink " + printable(path));
  return std::optional{std::string{target.data(), static_cast<std::size_t>(size)}};
}

Result<std::string> MergedView::resolve(const std::string& path) {
  return walk_in_root(
      path, [this](const std::string& at) { return link_at(at); }, Errc::layer_unsafe);
}

std::optional<std::size_t> MergedView::owner(const MergedNode& directory,
                                             const std::string& path) const {
  for (const auto* layers : {&directory.layers, &directory.below}) {
    for (const std::size_t layer : *layers) {
      if (!layers_[layer].implicit.contains(path)) return layer;
    }
  }
  return std::nullopt;
}

}  // namespace holdfast::deploy::image
