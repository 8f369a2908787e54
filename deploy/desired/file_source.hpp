#pragma once
#include <filesystem>
#include <memory>
#include <string>

#include "common/base/result.hpp"
#include "common/os/unique_fd.hpp"
#include "deploy/desired/source.hpp"

namespace holdfast::deploy::desired {

/// A deployment in a local file. Owned by root (or the agent's user) and writable by nobody else,
/// it needs no signature. Watches its path: also when the file is replaced by rename, appears
/// later, or its directory does.
class FileSource final : public Source {
 public:
  static constexpr std::size_t kMostBytes = 1U << 20;

  /// Begins to watch. Errors: io (no more inotify instances).
  [[nodiscard]] static Result<std::unique_ptr<Source>> watch(std::filesystem::path path,
                                                             std::size_t most_bytes = kMostBytes);

  [[nodiscard]] const std::string& origin() const override { return path_.native(); }
  [[nodiscard]] int fd() const override { return inotify_.get(); }
  [[nodiscard]] bool take_changes() override;
  /// Opened once, checked, read. Errors: not_found, perm (others could write it), too_large, usage
  /// (not a regular file), by errno.
  [[nodiscard]] Result<Candidate> read(const std::stop_token& stop) override;

 private:
  FileSource(std::filesystem::path path, std::size_t most_bytes, os::UniqueFd inotify)
      : path_(std::move(path)), most_bytes_(most_bytes), inotify_(std::move(inotify)) {}
  void watch_nearest_directory();

  const std::filesystem::path path_;
  const std::size_t most_bytes_;
  os::UniqueFd inotify_;
  std::filesystem::path watched_;  ///< the directory of the file, or the nearest that exists
  int watch_ = -1;
};

}  // namespace holdfast::deploy::desired
