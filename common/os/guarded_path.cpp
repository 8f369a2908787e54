#include "common/os/guarded_path.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

#include "common/base/text.hpp"
#include "common/os/file.hpp"

namespace holdfast::os {
namespace {

namespace fs = std::filesystem;

bool is_ours(const struct stat& info) { return info.st_uid == 0 || info.st_uid == ::geteuid(); }

Error link_on_the_way(const std::string& path, const std::string& part) {
  std::error_code failed;
  const auto real = fs::weakly_canonical(path, failed).string();
  return Error{Errc::perm, fmt::format("{} is a symlink", printable(part))}.hint(
      failed ? "write a path without links" : "write " + printable(real));
}

Error link_of_another(const std::string& part, uid_t owner) {
  return Error{Errc::perm, fmt::format("{} is a symlink of uid {}", printable(part), owner)}.hint(
      "look at where it leads, then chown -h root " + printable(part));
}

/// Others could write the directory: what is in it may be theirs.
Status check_entries(const fs::path& path) {
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator{path, failed}) {
    struct stat info {};
    if (::lstat(entry.path().c_str(), &info) != 0) continue;
    const bool holds_bytes = S_ISDIR(info.st_mode) || S_ISREG(info.st_mode);
    const bool open_to_others = holds_bytes && (info.st_mode & (S_IWGRP | S_IWOTH)) != 0;
    if (is_ours(info) && !S_ISLNK(info.st_mode) && !open_to_others) continue;
    return Error{Errc::perm,
                 fmt::format("others could write {}, and {} in it {}", printable(path.string()),
                             printable(entry.path().filename().string()),
                             open_to_others ? "too" : "is not the agent's")}
        .hint(fmt::format("look at it, remove it, then chmod 700 {}", printable(path.string())));
  }
  if (failed) return errno_error(failed.value(), "list " + path.string());
  return ok();
}

/// Before directories are made below it: nothing is made behind the link of another.
Status check_what_is_there(const std::string& wanted) {
  auto there = fs::path{wanted};
  std::error_code ignored;
  while (there.has_relative_path() && !fs::exists(fs::symlink_status(there, ignored)))
    there = there.parent_path();
  HF_TRY(open_guarded(there.string(), [&](const std::string& part, const struct stat& info) {
    return S_ISLNK(info.st_mode) ? Status{link_on_the_way(wanted, part)}
                                 : check_only_root_writes(part, info);
  }));
  return ok();
}

}  // namespace

Result<UniqueFd> open_guarded(const std::string& path, const JudgePart& judge) {
  if (path.empty() || path.front() != '/')
    return Error{Errc::perm, fmt::format("{} is not absolute", printable(path))};
  HF_ASSIGN(auto at, open_file("/", O_PATH | O_DIRECTORY));
  std::string part;
  for (const auto name : split(std::string_view{path}.substr(1), '/')) {
    if (name.empty()) continue;
    part += fmt::format("/{}", name);
    UniqueFd next{::openat(at.get(), std::string{name}.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC)};
    if (!next) {
      if (errno == ENOTDIR)
        return Error{Errc::not_found, fmt::format("{} does not exist", printable(part))};
      return errno_error(errno, "open " + printable(part));
    }
    struct stat info {};
    if (::fstat(next.get(), &info) != 0) return errno_error(errno, "stat " + printable(part));
    HF_TRY(judge(part, info));
    at = std::move(next);
  }
  return at;
}

Status check_only_root_writes(const std::string& part, const struct stat& info) {
  if (!is_ours(info))
    return Error{Errc::perm, fmt::format("{} belongs to uid {}", printable(part), info.st_uid)}
        .hint("chown root " + printable(part));
  const bool sticky = S_ISDIR(info.st_mode) && (info.st_mode & S_ISVTX) != 0;
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0 && !sticky)
    return Error{Errc::perm, fmt::format("others than root may write {}", printable(part))}.hint(
        "chmod go-w " + printable(part));
  return ok();
}

Result<std::string> read_trusted(const fs::path& path, std::size_t limit) {
  constexpr int kMostLinks = 40;  // as the kernel has it: path_resolution(7)
  std::error_code failed;
  auto at = fs::absolute(path, failed).lexically_normal();
  for (int links = 0; links < kMostLinks; ++links) {
    fs::path link;
    struct stat last {};
    const auto judge = [&](const std::string& part, const struct stat& info) -> Status {
      last = info;
      if (!S_ISLNK(info.st_mode)) return check_only_root_writes(part, info);
      if (!is_ours(info)) return link_of_another(part, info.st_uid);
      link = part;
      return Error{Errc::conflict, "a link"};  // only to end here
    };
    const auto fd = open_guarded(at.string(), judge);
    if (!link.empty()) {
      const auto target = fs::read_symlink(link, failed);
      if (failed) return errno_error(failed.value(), "read the link " + printable(link.string()));
      at = (link.parent_path() / target / at.lexically_relative(link)).lexically_normal();
      continue;
    }
    if (!fd) return fd.error();
    if (!S_ISREG(last.st_mode))
      return Error{Errc::usage, fmt::format("{} is not a regular file", printable(at.string()))};
    auto text = read_file(fmt::format("/proc/self/fd/{}", fd->get()), limit);
    if (!text) return std::move(text).error().in(printable(at.string()));
    return text;
  }
  return Error{Errc::usage, fmt::format("{} leads through more than {} symlinks",
                                        printable(path.string()), kMostLinks)};
}

Result<Claimed> claim_directory(const fs::path& path, mode_t most) {
  const auto wanted = path.lexically_normal().string();
  std::error_code ignored;
  const bool made = !fs::exists(fs::symlink_status(wanted, ignored));
  if (made) HF_TRY(check_what_is_there(wanted));
  HF_TRY(make_directories(wanted, most));
  Claimed claimed;
  const auto judge = [&](const std::string& part, const struct stat& info) -> Status {
    if (S_ISLNK(info.st_mode)) return link_on_the_way(wanted, part);
    if (part != wanted) return check_only_root_writes(part, info);
    if (!is_ours(info))
      return Error{Errc::perm, fmt::format("{} belongs to uid {}", printable(part), info.st_uid)}
          .hint("look at what is in it, then chown -R root " + printable(part));
    if (!made) claimed.before = info.st_mode & 07777U;
    return ok();
  };
  HF_ASSIGN(const auto fd, open_guarded(wanted, judge));
  if ((claimed.before & ~most & 0777U) == 0) return claimed;
  const auto by_fd = fmt::format("/proc/self/fd/{}", fd.get());
  if (::chmod(by_fd.c_str(), claimed.before & (most | 07000U)) != 0)
    return errno_error(errno, "chmod " + wanted);
  if ((claimed.before & (S_IWGRP | S_IWOTH)) != 0) HF_TRY(check_entries(wanted));
  return claimed;
}

}  // namespace holdfast::os
