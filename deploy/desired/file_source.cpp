#include "deploy/desired/file_source.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "common/base/text.hpp"
#include "common/crypto/sha256.hpp"
#include "common/os/file.hpp"

namespace holdfast::deploy::desired {
namespace {

constexpr std::uint32_t kEvents = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE |
                                  IN_DELETE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF;

Status check(const struct stat& info, const std::filesystem::path& path) {
  if (!S_ISREG(info.st_mode))
    return Error{Errc::usage, fmt::format("{} is not a regular file", path.string())};
  const bool owned = info.st_uid == 0 || info.st_uid == ::geteuid();
  if (owned && (info.st_mode & 022U) == 0) return ok();
  return Error{Errc::perm, fmt::format("{} can be written by others than root (uid {}, mode {:o})",
                                       path.string(), info.st_uid, info.st_mode & 07777U)}
      .hint(fmt::format("chown root {0} && chmod go-w {0}", path.string()));
}

Result<std::string> read_all(int fd, const std::filesystem::path& path, std::size_t most,
                             const std::stop_token& stop) {
  std::string text;
  std::array<char, 16384> buffer;
  for (;;) {
    if (stop.stop_requested()) return Error{Errc::cancelled, "read " + path.string()};
    const auto got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error(errno, "read " + path.string());
    if (got == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(got));
    if (text.size() > most)
      return Error{Errc::too_large,
                   fmt::format("{} is larger than {}", path.string(), human_bytes(most))};
  }
}

}  // namespace

Result<std::unique_ptr<Source>> FileSource::watch(std::filesystem::path path,
                                                  std::size_t most_bytes) {
  os::UniqueFd inotify{::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)};
  if (!inotify)
    return errno_error(errno, "watch " + path.string()).hint("raise fs.inotify.max_user_instances");
  std::unique_ptr<FileSource> source{
      new FileSource{std::move(path), most_bytes, std::move(inotify)}};
  source->watch_nearest_directory();
  return std::unique_ptr<Source>{std::move(source)};
}

void FileSource::watch_nearest_directory() {
  for (auto directory = path_.parent_path(); !directory.empty();
       directory = directory.parent_path()) {
    if (directory == watched_ && watch_ >= 0) return;
    const int watch = ::inotify_add_watch(inotify_.get(), directory.c_str(), kEvents | IN_ONLYDIR);
    if (watch >= 0) {
      if (watch_ >= 0 && watch_ != watch) ::inotify_rm_watch(inotify_.get(), watch_);
      watch_ = watch;
      watched_ = directory;
      return;
    }
    if (directory == directory.root_path()) return;
  }
}

bool FileSource::take_changes() {
  alignas(inotify_event) std::array<char, 4096> buffer;
  const bool near = watched_ == path_.parent_path();
  const auto name = path_.filename().string();
  bool concerned = false;
  for (;;) {
    const auto got = ::read(inotify_.get(), buffer.data(), buffer.size());
    if (got <= 0) break;
    for (std::size_t at = 0; at < static_cast<std::size_t>(got);) {
      inotify_event event{};
      std::memcpy(&event, buffer.data() + at, sizeof(event));
      const char* event_name = buffer.data() + at + sizeof(event);
      if ((event.mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED)) != 0 && event.wd == watch_) {
        watch_ = -1;
        concerned = true;
      }
      if (!near || (event.mask & IN_Q_OVERFLOW) != 0 || (event.len > 0 && name == event_name))
        concerned = true;
      at += sizeof(event) + event.len;
    }
  }
  watch_nearest_directory();
  return concerned;
}

Result<Candidate> FileSource::read(const std::stop_token& stop) {
  HF_ASSIGN(const auto fd, os::open_file(path_, O_RDONLY | O_NONBLOCK));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return errno_error(errno, "stat " + path_.string());
  HF_TRY(check(info, path_));
  HF_ASSIGN(auto text, read_all(fd.get(), path_, most_bytes_, stop));
  auto sum = crypto::sha256_hex(text);
  return Candidate{.text = std::move(text),
                   .sha256 = std::move(sum),
                   .origin = origin(),
                   .time = WallTime{std::chrono::seconds{info.st_mtim.tv_sec}}};
}

}  // namespace holdfast::deploy::desired
