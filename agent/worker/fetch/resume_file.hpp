#pragma once
#include <cstdint>
#include <functional>
#include <span>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "common/os/unique_fd.hpp"

namespace holdfast::agent::worker::fetch {

/// The file beside a download that a later child can go on from. One thread.
class ResumeFile {
 public:
  /// `fd` appends and reads from its start; closed: nothing is kept.
  ResumeFile(os::UniqueFd fd, const Clock& clock)
      : fd_(std::move(fd)), clock_(clock), left_(clock.boot()) {}

  /// Passes on the first `bytes` bytes. Errors: io (fewer are there), and those of `pass_on`.
  [[nodiscard]] Status replay(std::uint64_t bytes,
                              const std::function<Status(std::span<const char>)>& pass_on) const;

  /// Keeps these too. Where bytes come so fast that fetching them again costs less than writing
  /// them, or cannot be written, it stops for good: the file then holds a beginning, which is as
  /// good.
  void add(std::span<const char> data);
  /// Says that from now on the network is waited for.
  void wait_again() { left_ = clock_.boot(); }

 private:
  os::UniqueFd fd_;
  const Clock& clock_;
  BootTime left_;
  BootTime::duration waited_{0};  ///< for the network, not for whoever takes the bytes
  std::uint64_t added_ = 0;
};

}  // namespace holdfast::agent::worker::fetch
