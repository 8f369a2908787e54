#include "deploy/image/store/partial.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast::deploy::image {
namespace {

/// A layer this small is sooner fetched again than managed.
constexpr std::uint64_t kLeastLayer = 1U << 20;

bool may_go_on(Errc code) {
  switch (code) {
    case Errc::unreachable:
    case Errc::net_timeout:
    case Errc::net_slow:
    case Errc::registry:
    case Errc::rate_limited:
    case Errc::cancelled:
    case Errc::auth:
    case Errc::io:
      return true;
    default:
      return false;
  }
}

/// Closed when another process has it, or it cannot be made.
os::UniqueFd open_locked(const std::filesystem::path& path) {
  os::UniqueFd fd{::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)};
  if (fd && flock(fd.get(), LOCK_EX | LOCK_NB) != 0) fd.reset();
  return fd;
}

}  // namespace

Partial Partial::open(const std::filesystem::path& partials, const proto::Digest& blob,
                      std::uint64_t size) {
  if (size < kLeastLayer) return Partial{{}, {}};
  std::filesystem::path path = partials / blob.hex();
  os::UniqueFd fd = open_locked(path);
  if (!fd) return Partial{{}, {}};
  Partial partial{std::move(path), std::move(fd)};
  if (partial.bytes() > size) partial.restart();
  return partial;
}

std::uint64_t Partial::bytes() const {
  struct stat info {};
  if (!fd_ || fstat(fd_.get(), &info) != 0) return 0;
  return static_cast<std::uint64_t>(info.st_size);
}

Status Partial::sweep(const std::filesystem::path& partials, WallTime before) {
  std::error_code error;
  for (std::filesystem::directory_iterator it{partials, error};
       !error && it != std::filesystem::directory_iterator{}; it.increment(error)) {
    struct stat info {};
    if (lstat(it->path().c_str(), &info) != 0) continue;
    if (WallTime{std::chrono::seconds{info.st_mtim.tv_sec}} < before)
      (void)::unlink(it->path().c_str());
  }
  if (error) return errno_error(error.value(), "list " + partials.string());
  return ok();
}

os::UniqueFd Partial::reader() const {
  if (!fd_) return {};
  return os::UniqueFd{::open(path_.c_str(), O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW)};
}

void Partial::settle(const Status& outcome) {
  if (!fd_) return;
  const bool keep = !outcome && may_go_on(outcome.error().code()) && bytes() > 0;
  if (!keep) (void)::unlink(path_.c_str());
  fd_.reset();
}

void Partial::restart() {
  if (!fd_) return;
  // A file of its own for the next try: the last one's thread may still be writing to the old one.
  (void)::unlink(path_.c_str());
  fd_ = open_locked(path_);
}

}  // namespace holdfast::deploy::image
