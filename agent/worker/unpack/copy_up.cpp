// A hard link to a file of a lower layer needs that file in this layer first
// (packaging/doc/security.md 2.3, Hard links).
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>

#include "agent/worker/unpack/layer_writer.hpp"
#include "agent/worker/unpack/path.hpp"
#include "common/base/text.hpp"
#include "common/os/sparse.hpp"

namespace holdfast::agent::worker::unpack {
Status LayerWriter::copy_up(const std::string& path) {
  if (!directories_.has_lowers()) {
    summary_.needs_lower = true;
    return ok();
  }
  HF_ASSIGN(const auto found, directories_.open_lower(path));
  if (!found)
    return Error{Errc::layer_unsafe,
                 fmt::format("a hard link to {}, which does not exist", printable(path))};
  const auto [parent, name] = split_last(path);
  HF_ASSIGN(const int at, directories_.open(parent));
  struct stat info {};
  if (fstat(found->get(), &info) != 0) return errno_error(errno, "stat");
  if (S_ISREG(info.st_mode)) {
    HF_TRY(count_bytes(static_cast<std::uint64_t>(info.st_size)));
    HF_ASSIGN(const auto from, directories_.open_lower_file(path));
    const os::UniqueFd to{
        openat(at, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)};
    if (!to) return errno_error(errno, "copy " + printable(path));
    HF_TRY(os::copy_sparse(from.get(), to.get(), static_cast<std::uint64_t>(info.st_size), floor_,
                           {}));
    HF_TRY(remember(to.get(), std::nullopt));
    HF_ASSIGN(const Attributes attributes, get_attributes(from.get()));
    return set_attributes(to.get(), attributes, summary_.unsupported_xattrs);
  }
  if (!S_ISLNK(info.st_mode))
    return Error{Errc::layer_unsafe,
                 fmt::format("a hard link to {}, which is no file", printable(path))};
  std::array<char, PATH_MAX> target{};
  const ssize_t size = readlinkat(found->get(), "", target.data(), target.size() - 1);
  if (size < 0 || symlinkat(target.data(), at, name.c_str()) != 0)
    return errno_error(errno, "copy " + printable(path));
  const Attributes attributes{
      .mode = 0777, .uid = info.st_uid, .gid = info.st_gid, .mtime = info.st_mtim, .xattrs = {}};
  return set_attributes_at(at, name, attributes, EntryType::symlink, summary_.unsupported_xattrs);
}

}  // namespace holdfast::agent::worker::unpack
