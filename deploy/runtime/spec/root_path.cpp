#include "deploy/runtime/spec/root_path.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <climits>
#include <optional>
#include <vector>

#include "common/base/in_root.hpp"
#include "common/base/text.hpp"

namespace holdfast::deploy::runtime {
namespace {

std::string joined(const std::vector<std::string>& parts) {
  std::string out;
  for (const auto& part : parts) out += "/" + part;
  return out.empty() ? "/" : out;
}

}  // namespace

Result<os::UniqueFd> open_in_root(int root, std::string_view path, int flags, mode_t mode) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags) | O_CLOEXEC;
  how.mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? mode : 0;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  const std::string name{path};
  for (int tries = 0; tries < 32; ++tries) {
    const long fd = syscall(SYS_openat2, root, name.c_str(), &how, sizeof how);
    if (fd >= 0) return os::UniqueFd{static_cast<int>(fd)};
    if (errno != EAGAIN && errno != EINTR) break;
  }
  if (errno == ENOTDIR)
    return Error{Errc::not_found, fmt::format("open {}: not a directory", printable(path))};
  return errno_error(errno, fmt::format("open {}", printable(path)));
}

std::string clean_path(std::string_view path) {
  std::vector<std::string> parts;
  for (const auto part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
    } else {
      parts.emplace_back(part);
    }
  }
  return joined(parts);
}

bool is_within(std::string_view path, std::string_view parent) {
  if (parent == "/") return true;
  return path.starts_with(parent) && (path.size() == parent.size() || path[parent.size()] == '/');
}

Result<std::string> resolve_in_root(int root, std::string_view path) {
  const auto link_at = [root](const std::string& at) -> Result<std::optional<std::string>> {
    const auto fd = open_in_root(root, at, O_PATH | O_NOFOLLOW);
    if (!fd) return std::optional<std::string>{};  // does not exist: literal from here on
    std::array<char, PATH_MAX> target{};
    const ssize_t size = readlinkat(fd->get(), "", target.data(), target.size());
    if (size < 0) return std::optional<std::string>{};  // no symlink
    return std::optional{std::string{target.data(), static_cast<std::size_t>(size)}};
  };
  HF_ASSIGN(const auto real, walk_in_root(path, link_at, Errc::runtime));
  return "/" + real;
}

}  // namespace holdfast::deploy::runtime
