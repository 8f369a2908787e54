#include "deploy/image/upkeep/user_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "common/os/file.hpp"

namespace holdfast::deploy::image {

Result<os::UniqueFd> open_as(const os::FileUser& user, const std::string& path) {
  os::UniqueFd file;
  HF_TRY(os::as_user(user, [&]() -> Status {
    HF_ASSIGN(file, os::open_file(path, O_RDONLY | O_NONBLOCK));
    return ok();
  }));
  return file;
}

Result<NewFile> NewFile::create(const os::FileUser& user, std::string path,
                                const std::string& suffix) {
  std::string beside = path + suffix;
  os::UniqueFd file;
  HF_TRY(os::as_user(user, [&]() -> Status {
    HF_ASSIGN(file, os::open_file(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644));
    return ok();
  }));
  return NewFile{user, std::move(path), std::move(beside), std::move(file)};
}

NewFile::NewFile(NewFile&& other) noexcept
    : user_(std::move(other.user_)),
      path_(std::move(other.path_)),
      beside_(std::exchange(other.beside_, {})),
      fd_(std::move(other.fd_)) {}

NewFile::~NewFile() {
  if (beside_.empty()) return;
  (void)os::as_user(user_, [&]() -> Status {
    (void)::unlink(beside_.c_str());
    return ok();
  });
}

Status NewFile::place() {
  HF_TRY(os::as_user(user_, [&]() -> Status {
    if (::rename(beside_.c_str(), path_.c_str()) == 0) return ok();
    return errno_error(errno, "put " + path_ + " into place");
  }));
  beside_.clear();
  return ok();
}

}  // namespace holdfast::deploy::image
