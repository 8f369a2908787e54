#include "deploy/runtime/logs/logs.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "deploy/runtime/host/conmon.hpp"

namespace holdfast::deploy::runtime {
namespace {

constexpr std::size_t kKeptOfRemoved = 3;
constexpr std::chrono::hours kKeptFor{24 * 7};

struct OldLog {
  std::filesystem::path path;
  WallTime last{};
};

WallTime changed(const std::filesystem::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return {};
  return WallTime{std::chrono::seconds{info.st_mtim.tv_sec}};
}

void remove_log(const std::filesystem::path& log) {
  ::unlink(log.c_str());
  ::unlink((log.string() + ".1").c_str());
}

/// Logs in one service's directory whose instances are gone, newest first.
std::vector<OldLog> removed_logs(const std::filesystem::path& directory,
                                 const std::set<InstanceId>& present) {
  std::vector<OldLog> out;
  std::error_code bad;
  for (const auto& entry : std::filesystem::directory_iterator{directory, bad}) {
    auto name = entry.path().filename().string();
    if (name.ends_with(".log.1") &&
        !std::filesystem::exists(directory / name.substr(0, name.size() - 2), bad))
      name.resize(name.size() - 2);  // only the older half is left
    if (!name.ends_with(".log") || present.contains(InstanceId{name.substr(0, name.size() - 4)}))
      continue;
    out.push_back(
        {.path = directory / name,
         .last = std::max(changed(directory / name), changed(directory / (name + ".1")))});
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.last > b.last; });
  return out;
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

Status rotate_log(const Paths& paths, const proto::ServiceName& service, const InstanceId& id,
                  Bytes max_size) {
  const auto log = paths.log(service, id);
  struct stat info {};
  if (::stat(log.c_str(), &info) != 0 ||
      static_cast<std::uint64_t>(info.st_size) <= max_size.value())
    return ok();
  const auto ctl = paths.bundle(id) / "ctl";
  if (::access(ctl.c_str(), W_OK) != 0) return ok();
  const auto older = log.string() + ".1";
  if (::rename(log.c_str(), older.c_str()) != 0)
    return errno_error(errno, "rename " + log.string());
  auto reopened = reopen_log(paths.bundle(id));
  if (!reopened) {
    // Nobody writes to it any more: the name is given back, so that the reader finds one file and
    // the next start goes on in it.
    if (::rename(older.c_str(), log.c_str()) != 0) return errno_error(errno, "rename " + older);
  }
  return ok();
}

Status prune_logs(const Paths& paths, const std::set<InstanceId>& present, WallTime now) {
  std::error_code bad;
  for (const auto& service : std::filesystem::directory_iterator{paths.logs(), bad}) {
    const auto old = removed_logs(service.path(), present);
    for (std::size_t i = 0; i < old.size(); ++i)
      if (i >= kKeptOfRemoved || old[i].last + kKeptFor < now) remove_log(old[i].path);
    ::rmdir(service.path().c_str());  // takes effect where nothing is left in it
  }
  return ok();
}

}  // namespace holdfast::deploy::runtime
