#pragma once
#include <filesystem>
#include <string>

#include "common/base/result.hpp"
#include "common/os/as_user.hpp"
#include "common/os/unique_fd.hpp"

namespace holdfast::deploy::image {

/// A file that belongs to who asks, not to the agent: everything is done with the asker's rights.
/// Blocks.

/// Opens it for reading. Errors: by errno.
[[nodiscard]] Result<os::UniqueFd> open_as(const os::FileUser& user, const std::string& path);

/// A file that is written beside its place and put there when it is whole; destruction before
/// `place` removes it.
class NewFile {
 public:
  /// Errors: by errno.
  [[nodiscard]] static Result<NewFile> create(const os::FileUser& user, std::string path,
                                              const std::string& suffix);
  NewFile(NewFile&& other) noexcept;
  NewFile& operator=(NewFile&&) = delete;
  ~NewFile();

  [[nodiscard]] const os::UniqueFd& fd() const { return fd_; }
  /// Replaces what is there. Once. Errors: by errno; then nothing is left.
  [[nodiscard]] Status place();

 private:
  NewFile(os::FileUser user, std::string path, std::string beside, os::UniqueFd fd)
      : user_(std::move(user)),
        path_(std::move(path)),
        beside_(std::move(beside)),
        fd_(std::move(fd)) {}

  os::FileUser user_;
  std::string path_;
  std::string beside_;  ///< empty: placed, or moved from
  os::UniqueFd fd_;
};

}  // namespace holdfast::deploy::image
