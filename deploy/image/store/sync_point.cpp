#include "deploy/image/store/sync_point.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "common/os/file.hpp"

namespace holdfast::deploy::image {

Result<std::unique_ptr<SyncPoint>> SyncPoint::open(const std::filesystem::path& directory) {
  HF_ASSIGN(auto fd, os::open_file(directory, O_RDONLY | O_DIRECTORY));
  return std::unique_ptr<SyncPoint>{new SyncPoint{std::move(fd)}};
}

Status SyncPoint::sync() {
  std::unique_lock lock{mutex_};
  const std::uint64_t wanted = begun_ + 1;  // a sync that begins from now on
  while (done_ < wanted) {
    if (failed_) return *failed_;
    if (running_) {
      finished_.wait(lock);
      continue;
    }
    running_ = true;
    const std::uint64_t mine = ++begun_;
    lock.unlock();
    const int result = syncfs(fd_.get());
    const int error = errno;
    lock.lock();
    running_ = false;
    done_ = mine;
    // After a failed write-back the kernel forgets which pages it lost: nothing here may be trusted
    // any more.
    if (result != 0)
      failed_ = Error{Errc::io, errno_error(error, "make the image store durable").what()};
    finished_.notify_all();
  }
  if (failed_) return *failed_;
  return ok();
}

}  // namespace holdfast::deploy::image
