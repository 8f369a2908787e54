#pragma once
/// \file
/// A deployment in a local file. Owned by root (or the agent's user) and writable by nobody else,
/// it needs no signature.

#include <filesystem>
#include <string>

#include "common/base/result.hpp"
#include "common/os/unique_fd.hpp"

namespace holdfast::deploy::desired {

/// One state of the file.
struct SourceDocument {
  std::string text;
  std::string sha256;  ///< of `text`, 64 hex digits
};

/// Watches one path: also when the file is replaced by rename, appears later, or its directory
/// does. Not thread safe.
class FileSource {
 public:
  /// Begins to watch. Errors: io (no more inotify instances).
  [[nodiscard]] static Result<FileSource> watch(std::filesystem::path path);

  /// Readable when something may have changed.
  [[nodiscard]] int fd() const { return inotify_.get(); }
  /// Takes what the kernel reported; true when it may concern the file.
  [[nodiscard]] bool take_changes();

  /// What the file holds now: opened once, checked, read, at most 1 MiB.
  /// Errors: not_found, perm (others could write it), too_large, usage (not a regular file), io.
  [[nodiscard]] Result<SourceDocument> read() const;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  FileSource(std::filesystem::path path, os::UniqueFd inotify)
      : path_(std::move(path)), inotify_(std::move(inotify)) {}
  void watch_nearest_directory();

  std::filesystem::path path_;
  os::UniqueFd inotify_;
  std::filesystem::path watched_;  ///< the directory of the file, or the nearest that exists
  int watch_ = -1;
};

/// Remembers across restarts what was last taken from a source: a file that did not change
/// meanwhile must not undo what an operator applied by hand. A small file, "<sha256> <path>".
class SourceMemory {
 public:
  explicit SourceMemory(std::filesystem::path file) : file_(std::move(file)) {}
  [[nodiscard]] bool is_last(const SourceDocument& document,
                             const std::filesystem::path& source) const;
  [[nodiscard]] Status remember(const SourceDocument& document,
                                const std::filesystem::path& source) const;

 private:
  std::filesystem::path file_;
};

}  // namespace holdfast::deploy::desired
