#include "deploy/runtime/logs/logs.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "common/os/file.hpp"

namespace holdfast::deploy::runtime {
namespace {

constexpr std::size_t kKeptOfRemoved = 3;
constexpr std::chrono::hours kKeptFor{24 * 7};

constexpr std::uint64_t kKeptAtLeast = 64U << 10;

struct OldLog {
  std::filesystem::path path;
  WallTime last{};
  std::uint64_t bytes = 0;  ///< of both halves
};

struct LogsOfService {
  std::uint64_t present_bytes = 0;
  std::vector<OldLog> old;  ///< newest first
};

struct FileFacts {
  std::uint64_t bytes = 0;
  WallTime changed{};
};

FileFacts facts_of(const std::filesystem::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return {};
  return {.bytes = static_cast<std::uint64_t>(info.st_size),
          .changed = WallTime{
              std::chrono::floor<Milliseconds>(std::chrono::seconds{info.st_mtim.tv_sec} +
                                               std::chrono::nanoseconds{info.st_mtim.tv_nsec})}};
}

std::filesystem::path older_half(const std::filesystem::path& log) { return log.string() + ".1"; }

void remove_log(const std::filesystem::path& log) {
  ::unlink(log.c_str());
  ::unlink(older_half(log).c_str());
}

LogsOfService logs_of(const Paths& paths, const std::filesystem::path& directory) {
  LogsOfService out;
  std::error_code bad;
  for (const auto& entry : std::filesystem::directory_iterator{directory, bad}) {
    auto name = entry.path().filename().string();
    if (name.ends_with(".log.1") &&
        !std::filesystem::exists(directory / name.substr(0, name.size() - 2), bad))
      name.resize(name.size() - 2);  // only the older half is left
    if (!name.ends_with(".log")) continue;
    const auto log = directory / name;
    const auto newer = facts_of(log);
    const auto older = facts_of(older_half(log));
    const InstanceId id{name.substr(0, name.size() - 4)};
    if (std::filesystem::exists(paths.kept(id), bad))
      out.present_bytes += newer.bytes + older.bytes;
    else
      out.old.push_back({.path = log,
                         .last = std::max(newer.changed, older.changed),
                         .bytes = newer.bytes + older.bytes});
  }
  std::sort(out.old.begin(), out.old.end(),
            [](const auto& a, const auto& b) { return a.last > b.last; });
  return out;
}

/// From the first whole line after `offset` on, a piece at a time.
Status copy_last_lines(const std::filesystem::path& log, std::uint64_t offset,
                       const std::filesystem::path& into) {
  constexpr std::size_t kPiece = 64U << 10;
  HF_ASSIGN(const auto from, os::open_file(log, O_RDONLY | O_NOFOLLOW));
  HF_ASSIGN(const auto to, os::open_file(into, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
  bool torn = true;
  for (std::string piece(kPiece, '\0');;) {
    const ssize_t got = ::pread(from.get(), piece.data(), piece.size(), static_cast<off_t>(offset));
    if (got < 0) return errno_error(errno, "read " + log.string());
    if (got == 0) return ok();
    offset += static_cast<std::uint64_t>(got);
    auto text = std::string_view{piece}.substr(0, static_cast<std::size_t>(got));
    if (torn) {
      const auto end = text.find('\n');
      if (end == std::string_view::npos) continue;
      text.remove_prefix(end + 1);
      torn = false;
    }
    HF_TRY(os::write_all(to.get(), text));
  }
}

/// Leaves the last whole lines of at most `most` bytes of the newer half. Both halves are those of
/// an instance that is gone: nobody writes to them.
Status shorten(const std::filesystem::path& log, std::uint64_t most) {
  ::unlink(older_half(log).c_str());
  const auto facts = facts_of(log);
  if (facts.bytes <= most) return ok();
  const auto shorter = older_half(log);  // goes with the log, should this be cut off
  HF_TRY(copy_last_lines(log, facts.bytes - most, shorter));
  if (::rename(shorter.c_str(), log.c_str()) != 0)
    return errno_error(errno, "rename " + shorter.string());
  const auto age = facts.changed.time_since_epoch();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(age);
  const timespec unchanged[2] = {
      {.tv_sec = 0, .tv_nsec = UTIME_OMIT},
      {.tv_sec = seconds.count(), .tv_nsec = std::chrono::nanoseconds{age - seconds}.count()}};
  ::utimensat(AT_FDCWD, log.c_str(), unchanged, 0);  // its age is that of its last line
  return ok();
}

}  // namespace

std::optional<LogLine> parse_log_line(std::string_view line) {
  const auto time_end = line.find(' ');
  const auto stream_end =
      time_end == std::string_view::npos ? time_end : line.find(' ', time_end + 1);
  if (stream_end == std::string_view::npos || stream_end + 1 >= line.size()) return std::nullopt;
  const auto time = parse_rfc3339(line.substr(0, time_end));
  const auto stream = line.substr(time_end + 1, stream_end - time_end - 1);
  const char flag = line[stream_end + 1];
  if (!time || (stream != "stdout" && stream != "stderr") || (flag != 'F' && flag != 'P'))
    return std::nullopt;
  const auto text =
      stream_end + 3 <= line.size() ? line.substr(stream_end + 3) : std::string_view{};
  return LogLine{.instance = {},
                 .time = *time,
                 .is_stderr = stream == "stderr",
                 .partial = flag == 'P',
                 .text = std::string{text}};
}

Status prune_logs(const Paths& paths, const proto::ServiceName& service, const LogKeep& keep) {
  const auto directory = paths.logs() / service.str();
  auto [present_bytes, old] = logs_of(paths, directory);
  std::uint64_t room = keep.total.value() > present_bytes ? keep.total.value() - present_bytes : 0;
  for (std::size_t i = 0; i < old.size(); ++i) {
    const auto& log = old[i];
    if (i >= kKeptOfRemoved || log.last + kKeptFor < keep.now) {
      remove_log(log.path);
      continue;
    }
    if (log.bytes > room) HF_TRY(shorten(log.path, std::max(room, kKeptAtLeast)));
    room -= std::min(room, log.bytes);
  }
  ::rmdir(directory.c_str());  // takes effect where nothing is left in it
  return ok();
}

Status prune_logs(const Paths& paths, const LogKeep& keep) {
  std::error_code bad;
  Status first = ok();
  for (const auto& entry : std::filesystem::directory_iterator{paths.logs(), bad}) {
    auto done = prune_logs(paths, proto::ServiceName{entry.path().filename().string()}, keep);
    if (!done && first) first = std::move(done);
  }
  return first;
}

}  // namespace holdfast::deploy::runtime
