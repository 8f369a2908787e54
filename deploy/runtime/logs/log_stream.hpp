#pragma once
/// \file
/// The lines of one instance: first the older half, then the current file, then whatever is
/// appended.

#include <array>
#include <filesystem>
#include <optional>
#include <string>

#include "common/os/unique_fd.hpp"
#include "deploy/runtime/logs/log_line.hpp"

namespace holdfast::deploy::runtime {

/// Not thread safe.
class LogStream {
 public:
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

 private:
  enum class Half : std::uint8_t { older, current };
  [[nodiscard]] bool fill();
  [[nodiscard]] bool advance();
  [[nodiscard]] std::optional<LogLine> next_line();
  [[nodiscard]] std::optional<LogLine> complete(LogLine part);

  InstanceId id_;
  std::filesystem::path log_;
  Half half_ = Half::older;
  os::UniqueFd fd_;
  std::string buffer_;
  std::size_t at_ = 0;
  std::array<std::optional<LogLine>, 2> unfinished_;  ///< of stdout and of stderr
  std::optional<LogLine> next_;
};

}  // namespace holdfast::deploy::runtime
