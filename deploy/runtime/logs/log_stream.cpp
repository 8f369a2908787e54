#include "deploy/runtime/logs/log_stream.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "deploy/runtime/logs/logs.hpp"

namespace holdfast::deploy::runtime {
namespace {

/// conmon splits at 8 KiB; beyond this the file is damaged.
constexpr std::size_t kMaxRaw = 64U << 10;

std::uint64_t size_of(const struct stat& info) { return static_cast<std::uint64_t>(info.st_size); }

/// Whether `path` leads to that file; without a file, to none.
bool still_named(const os::UniqueFd& fd, const std::string& path) {
  struct stat named {};
  struct stat open {};
  if (::stat(path.c_str(), &named) != 0) return !fd;
  return fd && ::fstat(fd.get(), &open) == 0 && open.st_ino == named.st_ino &&
         open.st_dev == named.st_dev;
}

}  // namespace

LogStream::Half LogStream::open_half(const std::filesystem::path& path) {
  Half half{.fd = os::UniqueFd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)}, .size = 0};
  struct stat info {};
  if (half.fd && ::fstat(half.fd.get(), &info) == 0) half.size = size_of(info);
  return half;
}

LogStream::LogStream(InstanceId id, std::filesystem::path log)
    : id_(std::move(id)), log_(std::move(log)) {
  const auto older = log_.string() + ".1";
  constexpr int kTries = 3;
  for (int i = 0; i < kTries; ++i) {
    halves_ = {open_half(older), open_half(log_)};
    if (still_named(halves_[0].fd, older)) break;  // else a rotation came between the two
  }
  start_half(halves_[0].fd ? 0 : 1);
}

LogStream::LogStream(InstanceId id, std::filesystem::path log, Bytes most)
    : LogStream(std::move(id), std::move(log)) {
  const auto newer = halves_[1].size;
  if (newer >= most.value()) start_half(1);
  const auto wanted = half_ == 0 ? most.value() - newer : most.value();
  const auto size = halves_[half_].size;
  // The first line is torn; parse_log_line takes it for none, but for one chance in many.
  if (size > wanted) offset_ = size - wanted;
}

void LogStream::start_half(std::size_t which) {
  half_ = which;
  offset_ = 0;
  buffer_.clear();
  at_ = 0;
}

void LogStream::rewind() {
  start_half(halves_[0].fd ? 0 : 1);
  unfinished_ = {};
  next_.reset();
}

/// Opens the file to read from now, where there is one; false when the open one is still the right
/// one or none exists.
bool LogStream::advance() {
  if (half_ == 0) {
    start_half(1);
    if (extent_ == Extent::growing) halves_[0].fd.reset();  // read to its end: nobody goes back
    if (halves_[1].fd) return true;
  }
  if (extent_ == Extent::snapshot) return false;
  // A rotation gives the name to a new file once the writer has gone over to it: only then is the
  // old one complete.
  if (still_named(halves_[1].fd, log_)) return false;
  auto fresh = open_half(log_);
  if (!fresh.fd) return false;
  halves_[1] = std::move(fresh);
  start_half(1);
  return true;
}

std::size_t LogStream::read_some() {
  const auto& half = halves_[half_];
  if (!half.fd) return 0;
  auto most = kReadSize;
  if (extent_ == Extent::snapshot) {
    if (offset_ >= half.size) return 0;
    most = std::min<std::uint64_t>(most, half.size - offset_);
  }
  const auto have = buffer_.size();
  buffer_.resize(have + most);
  ssize_t got = 0;
  do {
    got = ::pread(half.fd.get(), buffer_.data() + have, most, static_cast<off_t>(offset_));
  } while (got < 0 && errno == EINTR);
  const auto read = static_cast<std::size_t>(std::max<ssize_t>(got, 0));
  buffer_.resize(have + read);
  offset_ += read;
  return read;
}

bool LogStream::fill() {
  buffer_.erase(0, std::exchange(at_, 0));
  if (buffer_.size() > kMaxRaw) buffer_.clear();
  do {
    if (read_some() > 0) return true;
  } while (advance());
  return false;
}

std::optional<LogLine> LogStream::next_line() {
  for (;;) {
    const auto end = buffer_.find('\n', at_);
    if (end == std::string::npos) {
      if (!fill()) return std::nullopt;
      continue;
    }
    auto line = parse_log_line(std::string_view{buffer_}.substr(at_, end - at_));
    at_ = end + 1;
    if (!line) continue;
    if (auto whole = complete(std::move(*line))) return whole;
  }
}

std::optional<LogLine> LogStream::complete(LogLine part) {
  auto& begun = unfinished_[part.is_stderr ? 1 : 0];
  part.instance = id_;
  if (begun) {
    begun->text += part.text;
    begun->partial = part.partial;
    part = std::move(*begun);
    begun.reset();
  }
  if (!part.partial || part.text.size() >= kLongestLine) return part;
  begun = std::move(part);
  return std::nullopt;
}

std::optional<LogLine> LogStream::take_unfinished() {
  for (auto& begun : unfinished_)
    if (begun) return std::exchange(begun, std::nullopt);
  return std::nullopt;
}

const LogLine* LogStream::peek() {
  if (!next_) next_ = next_line();
  return next_ ? &*next_ : nullptr;
}

LogLine LogStream::take() {
  LogLine line = std::move(*next_);
  next_.reset();
  return line;
}

}  // namespace holdfast::deploy::runtime
