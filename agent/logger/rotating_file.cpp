#include "agent/logger/rotating_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace holdfast::agent::logger {
namespace {

/// A line of conmon is 8 KiB and its head. What has no end beyond this is cut, so that a file whose
/// writer sends no newline is bounded too.
constexpr std::size_t kLongestLine = 64U << 10;

std::uint64_t size_of(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
}

}  // namespace

RotatingFile::RotatingFile(std::string path, std::uint64_t max_bytes)
    : path_(std::move(path)), older_(path_ + ".1"), max_bytes_(max_bytes) {
  open_current();
}

RotatingFile::~RotatingFile() {
  write_lines(begun_);
  if (fd_ >= 0) ::close(fd_);
}

void RotatingFile::open_current() {
  fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  size_ = size_of(path_);
}

void RotatingFile::remove_older() {
  const auto lost = size_of(older_);
  if (::unlink(older_.c_str()) == 0) dropped_ += lost;
}

void RotatingFile::rotate() {
  const auto lost = size_of(older_);
  if (::rename(path_.c_str(), older_.c_str()) == 0) dropped_ += lost;
  if (fd_ >= 0) ::close(fd_);
  open_current();
}

/// How much of `data` belongs into the file that is open: all, or the whole lines for which there
/// is room; one line at least where the file is empty.
std::size_t RotatingFile::fits(std::string_view data) const {
  const std::uint64_t room = size_ < max_bytes_ ? max_bytes_ - size_ : 0;
  if (data.size() <= room) return data.size();
  const auto last_end =
      room == 0 ? std::string_view::npos : data.rfind('\n', static_cast<std::size_t>(room) - 1);
  if (last_end != std::string_view::npos) return last_end + 1;
  if (size_ > 0) return 0;
  const auto first_end = data.find('\n');
  return first_end != std::string_view::npos ? first_end + 1 : data.size();
}

void RotatingFile::append(std::string_view data) {
  while (!data.empty()) {
    const ssize_t wrote = fd_ < 0 ? -1 : ::write(fd_, data.data(), data.size());
    if (wrote > 0) {
      size_ += static_cast<std::uint64_t>(wrote);
      data.remove_prefix(static_cast<std::size_t>(wrote));
      continue;
    }
    if (fd_ >= 0 && errno == EINTR) continue;
    if (fd_ >= 0 && (errno == ENOSPC || errno == EDQUOT) && size_of(older_) > 0) {
      remove_older();
      continue;
    }
    dropped_ += data.size();
    return;
  }
}

void RotatingFile::write_lines(std::string_view data) {
  if (fd_ < 0) open_current();  // its directory may be back
  while (!data.empty()) {
    const auto part = fits(data);
    append(data.substr(0, part));
    data.remove_prefix(part);
    if (!data.empty()) rotate();
  }
}

void RotatingFile::write(std::string_view data) {
  const auto last_end = data.rfind('\n');
  if (last_end != std::string_view::npos) {
    if (!begun_.empty()) {
      const auto first_end = data.find('\n');
      begun_ += data.substr(0, first_end + 1);
      write_lines(begun_);
      begun_.clear();
      data.remove_prefix(first_end + 1);
    }
    const auto whole = data.rfind('\n') + 1;  // 0 where no further line ends in it
    write_lines(data.substr(0, whole));
    data.remove_prefix(whole);
  }
  begun_ += data;
  if (begun_.size() < kLongestLine) return;
  write_lines(begun_);
  begun_.clear();
}

}  // namespace holdfast::agent::logger
