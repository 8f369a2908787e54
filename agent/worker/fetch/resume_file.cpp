#include "agent/worker/fetch/resume_file.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "common/os/file.hpp"

namespace holdfast::agent::worker::fetch {
namespace {

/// Looked at after this much: faster than the rate below, and the rest is not kept.
constexpr std::uint64_t kSample = 8U << 20;
constexpr std::uint64_t kFastBytesPerSecond = 50U << 20;

}  // namespace

Status ResumeFile::replay(std::uint64_t bytes,
                          const std::function<Status(std::span<const char>)>& pass_on) const {
  std::vector<char> buffer(bytes > 0 ? 128U << 10 : 0);
  while (bytes > 0) {
    const ssize_t got =
        ::read(fd_.get(), buffer.data(), std::min<std::uint64_t>(bytes, buffer.size()));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error(errno, "read what was downloaded before");
    if (got == 0) return Error{Errc::io, "what was downloaded before is shorter than it was"};
    HF_TRY(pass_on({buffer.data(), static_cast<std::size_t>(got)}));
    bytes -= static_cast<std::uint64_t>(got);
  }
  return ok();
}

void ResumeFile::add(std::span<const char> data) {
  if (!fd_) return;
  waited_ += clock_.boot() - left_;
  if (added_ >= kSample) {
    const auto seconds = std::chrono::duration<double>(waited_).count();
    if (static_cast<double>(added_) > static_cast<double>(kFastBytesPerSecond) * seconds)
      return fd_.reset();
  }
  if (!os::write_all(fd_.get(), {data.data(), data.size()})) return fd_.reset();
  added_ += data.size();
}

}  // namespace holdfast::agent::worker::fetch
