#pragma once
/// \file
/// The lines of one instance: first the older half, then the current file, then whatever is
/// appended.

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "common/os/unique_fd.hpp"
#include "deploy/runtime/logs/log_line.hpp"

namespace holdfast::deploy::runtime {

/// Memory: three lines of kLongestLine, and what one read brings. Not thread safe.
class LogStream {
 public:
  /// What is longer comes in pieces, each but the last `partial`.
  static constexpr std::size_t kLongestLine = 16U << 10;
  static constexpr std::size_t kReadSize = 16U << 10;

  /// `log`: the current file, <id>.log; it need not exist.
  LogStream(InstanceId id, std::filesystem::path log);
  /// Only the whole lines among the last `most` bytes: what a report may read, whatever the size.
  LogStream(InstanceId id, std::filesystem::path log, Bytes most);

  /// The next whole line without taking it; nothing while there is none. A line of another form is
  /// passed over.
  [[nodiscard]] const LogLine* peek();
  [[nodiscard]] LogLine take();
  /// What was written of a line without its end, given up waiting for; `partial` then.
  [[nodiscard]] std::optional<LogLine> take_unfinished();

  /// From now on not beyond what was in the files when they were opened, so that reading ends
  /// however fast is written. Before anything was read.
  void stop_at_snapshot() { extent_ = Extent::snapshot; }
  /// Back to the beginning of the snapshot. Only while the stream stops there.
  void rewind();
  /// Goes on with what was appended since, and through rotations.
  void go_on() {
    extent_ = Extent::growing;
    if (half_ == 1) halves_[0].fd.reset();
  }

 private:
  enum class Extent : std::uint8_t { growing, snapshot };
  /// A half as it was when it was opened.
  struct Half {
    os::UniqueFd fd;
    std::uint64_t size = 0;
  };
  static Half open_half(const std::filesystem::path& path);
  [[nodiscard]] std::size_t read_some();
  void start_half(std::size_t which);
  [[nodiscard]] bool fill();
  [[nodiscard]] bool advance();
  [[nodiscard]] std::optional<LogLine> next_line();
  [[nodiscard]] std::optional<LogLine> complete(LogLine part);

  InstanceId id_;
  std::filesystem::path log_;
  Extent extent_ = Extent::growing;
  std::array<Half, 2> halves_;  ///< older, current
  std::size_t half_ = 0;        ///< the one that is read
  std::uint64_t offset_ = 0;    ///< in it
  std::string buffer_;
  std::size_t at_ = 0;
  std::array<std::optional<LogLine>, 2> unfinished_;  ///< of stdout and of stderr
  std::optional<LogLine> next_;
};

}  // namespace holdfast::deploy::runtime
