#pragma once
/// \file
/// A log of two files that never grow beyond a bound: `path` is written, `path`.1 is full and
/// older.

#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast::agent::logger {

/// Not thread safe. Never fails: a log is no reason to end a service. What cannot be written, and
/// what a rotation takes away, is counted.
class RotatingFile {
 public:
  /// Goes on at the end of a file that is there. `max_bytes`: of one file; whole lines only, so
  /// that a line that is longer than what is left begins the next file.
  RotatingFile(std::string path, std::uint64_t max_bytes);
  ~RotatingFile();
  RotatingFile(const RotatingFile&) = delete;
  RotatingFile& operator=(const RotatingFile&) = delete;

  /// Appends the whole lines, and keeps the beginning of one until its end comes, or 64 KiB of it,
  /// or the end of this object. On a full disk the older file goes first, then what is new.
  void write(std::string_view data);
  /// Bytes that were written to it and are in neither file any more, in its life.
  [[nodiscard]] std::uint64_t dropped_bytes() const { return dropped_; }

 private:
  void open_current();
  void rotate();
  void write_lines(std::string_view data);
  void append(std::string_view data);
  [[nodiscard]] std::size_t fits(std::string_view data) const;
  void remove_older();

  std::string path_;
  std::string older_;
  std::uint64_t max_bytes_;
  std::uint64_t size_ = 0;
  std::uint64_t dropped_ = 0;
  std::string begun_;  ///< of a line whose end has not come
  int fd_ = -1;
};

}  // namespace holdfast::agent::logger
