#include "deploy/runtime/logs/log_stream.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "deploy/runtime/logs/logs.hpp"

namespace holdfast::deploy::runtime {
namespace {

constexpr std::size_t kChunk = 64U << 10;
constexpr std::size_t kMaxLine = 1U
                                 << 20;  // conmon splits at 8 KiB; beyond this the file is damaged

}  // namespace

LogStream::LogStream(InstanceId id, std::filesystem::path log)
    : id_(std::move(id)), log_(std::move(log)) {
  fd_.reset(::open((log_.string() + ".1").c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd_) half_ = Half::current;
}

LogStream::LogStream(InstanceId id, std::filesystem::path log, Bytes most)
    : LogStream(std::move(id), std::move(log)) {
  struct stat newer {};
  struct stat older {};
  const auto size_of = [](const struct stat& info) {
    return static_cast<std::uint64_t>(info.st_size);
  };
  if (::stat(log_.c_str(), &newer) != 0) newer.st_size = 0;
  if (half_ == Half::older && (::fstat(fd_.get(), &older) != 0 || size_of(newer) >= most.value())) {
    fd_.reset();
    half_ = Half::current;
  }
  if (half_ == Half::current && !fd_) (void)advance();
  const auto size = half_ == Half::older ? size_of(older) : size_of(newer);
  const auto wanted = half_ == Half::older ? most.value() - size_of(newer) : most.value();
  if (!fd_ || size <= wanted) return;
  ::lseek(fd_.get(), static_cast<off_t>(size - wanted), SEEK_SET);
  // The first line is torn; parse_log_line takes it for none, but for one chance in many.
}

/// Opens the file to read from now, where there is one; false when the open one is still the right
/// one or none exists.
bool LogStream::advance() {
  struct stat named {};
  struct stat open {};
  if (::stat(log_.c_str(), &named) != 0) return false;
  // A rotation gives the name to a new file once the writer has gone over to it: only then is the
  // old one complete.
  if (fd_ && ::fstat(fd_.get(), &open) == 0 && open.st_ino == named.st_ino &&
      open.st_dev == named.st_dev)
    return false;
  os::UniqueFd fresh{::open(log_.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!fresh) return false;
  fd_ = std::move(fresh);
  half_ = Half::current;
  buffer_.clear();
  at_ = 0;
  return true;
}

bool LogStream::fill() {
  if (at_ > 0) {
    buffer_.erase(0, at_);
    at_ = 0;
  }
  if (buffer_.size() > kMaxLine) buffer_.clear();
  for (;;) {
    if (fd_) {
      const auto have = buffer_.size();
      buffer_.resize(have + kChunk);
      const ssize_t got = ::read(fd_.get(), buffer_.data() + have, kChunk);
      buffer_.resize(have + static_cast<std::size_t>(got > 0 ? got : 0));
      if (got > 0) return true;
      if (got < 0 && errno == EINTR) continue;
    }
    if (!advance()) return false;
  }
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
  if (!part.partial || part.text.size() >= kMaxLine) return part;
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
