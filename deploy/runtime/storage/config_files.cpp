#include "deploy/runtime/storage/config_files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "common/base/text.hpp"
#include "common/os/file.hpp"

namespace holdfast::deploy::runtime {
namespace {

std::filesystem::path kept_path(const Paths& paths, const proto::Digest& digest) {
  return paths.configs() / digest.hex();
}

/// What was kept and is still what it was.
Result<std::string> kept_config(const Paths& paths, const proto::Digest& digest) {
  HF_ASSIGN(auto content, os::read_regular_file(kept_path(paths, digest), kMaxHostFile));
  if (proto::Digest::of(content) == digest) return content;
  return Error{Errc::io, fmt::format("the kept config {} is damaged", digest.short_hex())};
}

/// What is in it is not told: a digest would let whoever writes documents guess at files of the
/// host, and take them.
Result<std::string> pinned_host_file(const proto::ConfigFile& config, const HostFileRule& rule) {
  auto content = read_host_file(config.file, rule);
  if (!content) {  // whatever it is, another host may have the right one there
    auto next = content.error().next_step();
    if (next.empty()) next = "put the file that the document pins there";
    return Error{Errc::host, content.error().what()}.hint(std::move(next));
  }
  if (proto::Digest::of(*content) == config.digest) return content;
  return Error{Errc::host, fmt::format("config file {} is not what the document pins ({})",
                                       printable(config.file), config.digest.str())}
      .hint(fmt::format("sha256sum {} tells what it is: put the pinned content back, or write the "
                        "new digest into the document",
                        printable(config.file)));
}

/// Durable: a rollback after a power cut may need it. Looking at it again makes it young.
Status keep(const Paths& paths, const proto::Digest& digest, std::string_view content) {
  const auto path = kept_path(paths, digest);
  if (const auto known = kept_config(paths, digest)) {
    if (::utimensat(AT_FDCWD, path.c_str(), nullptr, 0) == 0) return ok();
  }
  HF_TRY(os::make_directories(paths.configs(), 0700));
  return os::write_atomic(path, content, 0600);
}

Status write_placed(const std::filesystem::path& path, std::string_view content,
                    const PlacedConfig& placed) {
  ::unlink(path.c_str());
  HF_ASSIGN(const auto fd, os::open_file(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  HF_TRY(os::write_all(fd.get(), content));
  if (::fchown(fd.get(), placed.owner.uid, placed.owner.gid) != 0)
    return errno_error(errno, "chown");
  if (::fchmod(fd.get(), placed.mode) != 0) return errno_error(errno, "chmod");
  return ok();
}

}  // namespace

Result<std::string> config_content(const Paths& paths, const proto::ConfigFile& config,
                                   const HostFileRule& rule) {
  if (config.file.empty()) return config.content;
  if (auto kept = kept_config(paths, config.digest)) return kept;
  return pinned_host_file(config, rule);
}

Status check_config(const Paths& paths, const proto::ConfigFile& config, const HostFileRule& rule) {
  HF_TRY(config_content(paths, config, rule));
  return ok();
}

Result<PlacedConfig> place_config(const Paths& paths, const plan::InstanceId& id,
                                  std::size_t number, const proto::ConfigFile& config,
                                  const FileOwner& owner, const HostFileRule& rule) {
  auto content = config_content(paths, config, rule);
  if (!content) return std::move(content).error().in("read config " + printable(config.target));
  HF_TRY(keep(paths, config.digest, *content));
  PlacedConfig placed{
      .target = config.target, .digest = config.digest, .mode = config.mode, .owner = owner};
  HF_TRY(os::make_directories(paths.placed_configs(id), 0755));
  HF_TRY(write_placed(paths.placed_config(id, number), *content, placed));
  return placed;
}

Status replace_configs(const Paths& paths, const plan::InstanceId& id,
                       const std::vector<PlacedConfig>& placed) {
  for (std::size_t i = 0; i < placed.size(); ++i) {
    const auto content = kept_config(paths, placed[i].digest);
    if (!content)
      return Error{Errc::host, fmt::format("the content of config {} is gone: {}",
                                           printable(placed[i].target), content.error().what())}
          .hint("apply the document again");
    HF_TRY(os::make_directories(paths.placed_configs(id), 0755));
    HF_TRY(write_placed(paths.placed_config(id, i), *content, placed[i]));
  }
  return ok();
}

std::string configs_text(const Paths& paths, const plan::InstanceId& id,
                         const std::vector<PlacedConfig>& placed) {
  std::vector<std::string> changed;
  for (std::size_t i = 0; i < placed.size(); ++i) {
    const auto path = paths.placed_config(id, i);
    const auto content = os::read_regular_file(path, kMaxHostFile);
    struct stat info {};
    const bool there = content && ::lstat(path.c_str(), &info) == 0;
    if (!there || proto::Digest::of(*content) != placed[i].digest) {
      changed.push_back(printable(placed[i].target) + " has another content than declared");
    } else if ((info.st_mode & 07777) != placed[i].mode || info.st_uid != placed[i].owner.uid ||
               info.st_gid != placed[i].owner.gid) {
      changed.push_back(printable(placed[i].target) + " has another mode or owner than declared");
    }
  }
  return fmt::format("{}", fmt::join(changed, "; "));
}

Status forget_configs(const Paths& paths, const std::set<proto::Digest>& in_use, WallTime now,
                      Milliseconds young) {
  std::set<std::string> names;
  for (const auto& digest : in_use) names.insert(digest.hex());
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator{paths.configs(), failed}) {
    struct stat info {};
    if (names.contains(entry.path().filename()) || ::lstat(entry.path().c_str(), &info) != 0)
      continue;
    const WallTime kept{
        std::chrono::duration_cast<Milliseconds>(std::chrono::seconds{info.st_mtim.tv_sec})};
    if (kept + young > now) continue;
    if (::unlink(entry.path().c_str()) != 0 && errno != ENOENT)
      return errno_error(errno, "remove " + entry.path().string());
  }
  if (failed && failed != std::errc::no_such_file_or_directory)
    return Error{Errc::io, fmt::format("list {}: {}", paths.configs().string(), failed.message())};
  return ok();
}

}  // namespace holdfast::deploy::runtime
