#include "deploy/runtime/storage/named_volume.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "common/base/text.hpp"
#include "common/os/file.hpp"

namespace holdfast::deploy::runtime {
namespace {

/// The directory `name` in `parent`; one that is made belongs to the user.
Result<os::UniqueFd> enter(int parent, const std::string& name, const User& user) {
  const bool made = ::mkdirat(parent, name.c_str(), 0755) == 0;
  if (!made && errno != EEXIST) return errno_error(errno, "mkdir " + printable(name));
  os::UniqueFd there{
      ::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
  if (!there)
    return Error{Errc::host, fmt::format("{} in it is not a directory", printable(name))}.hint(
        "remove it from the volume, or write another subpath");
  if (made && ::fchown(there.get(), user.uid, user.gid) != 0) return errno_error(errno, "chown");
  return there;
}

/// Owner first: a change of it takes the set-user-id bits away.
Status take_wanted_attributes(const VolumeDirectory& input, int fd) {
  if (!input.wanted.owner.empty()) {
    auto owner = resolve_user(input.root, input.wanted.owner);
    if (!owner) return std::move(owner).error().in("resolve its owner");
    if (::fchown(fd, owner->uid, owner->gid) != 0) return errno_error(errno, "chown");
  }
  if (input.wanted.mode && ::fchmod(fd, *input.wanted.mode) != 0)
    return errno_error(errno, "chmod");
  return ok();
}

}  // namespace

Result<os::UniqueFd> open_volume_directory(const VolumeDirectory& input) {
  HF_ASSIGN(auto at,
            os::open_file(input.volume, O_RDONLY | O_DIRECTORY));  // root alone makes links there
  if (!input.wanted.subpath.empty())
    for (const auto part : split(input.wanted.subpath, '/')) {
      HF_ASSIGN(auto next, enter(at.get(), std::string{part}, input.user));
      at = std::move(next);
    }
  HF_TRY(take_wanted_attributes(input, at.get()));
  return at;
}

}  // namespace holdfast::deploy::runtime
