#pragma once
#include "common/base/result.hpp"
#include "common/os/unique_fd.hpp"

namespace holdfast::agent::cli {

/// Turns SIGINT and SIGTERM of this process into a readable descriptor, so that Ctrl-C ends a wait
/// with a word instead of the program in the middle of a line. Install it once, before any thread.
class Interrupt {
 public:
  [[nodiscard]] static Result<Interrupt> install();
  /// Readable after the first signal.
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  explicit Interrupt(os::UniqueFd fd) : fd_(std::move(fd)) {}
  os::UniqueFd fd_;
};

}  // namespace holdfast::agent::cli
