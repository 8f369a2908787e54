#pragma once
#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "common/os/unique_fd.hpp"

namespace holdfast::agent::daemon {

/// A listening unix socket in the file system (packaging/doc/security.md T-48, T-49): mode 0660 and
/// never wider, in a directory of ours that nobody else can write; `groups` may open it (the first
/// as its group, more by an access list). A dead socket of ours is replaced; anything else in its
/// place is refused. Removed on destruction, if it is still this one.
class SocketFile {
 public:
  /// `patience`: for as long one that answers may end first; blocks. Errors: busy (another agent
  /// answers there), conflict (a symlink, a file, somebody else's
  /// socket), perm, io.
  [[nodiscard]] static Result<SocketFile> listen(const std::filesystem::path& path,
                                                 const std::vector<gid_t>& groups,
                                                 Milliseconds patience = Milliseconds{0});
  SocketFile(SocketFile&& other) noexcept;
  SocketFile& operator=(SocketFile&& other) noexcept;
  ~SocketFile();

  [[nodiscard]] int fd() const { return fd_.get(); }
  /// Whether the file is still there and still this socket's.
  [[nodiscard]] bool in_place() const;

 private:
  SocketFile(std::filesystem::path path, os::UniqueFd fd, ino_t inode)
      : path_(std::move(path)), fd_(std::move(fd)), inode_(inode) {}
  void remove();

  std::filesystem::path path_;
  os::UniqueFd fd_;
  ino_t inode_;
};

/// Listens on "127.0.0.1:9472" or "[::1]:9472". Errors: usage (form), port_in_use, perm, io.
[[nodiscard]] Result<os::UniqueFd> listen_tcp(const std::string& address);

}  // namespace holdfast::agent::daemon
