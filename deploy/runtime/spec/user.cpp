#include "deploy/runtime/spec/user.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <set>

#include "common/base/text.hpp"
#include "deploy/runtime/spec/root_path.hpp"

namespace holdfast::deploy::runtime {
namespace {

constexpr std::size_t kMaxFile = 10U << 20;  // packaging/doc/security.md 3.3: containerd's cap
/// With its end 64 KiB: runc reads the file too, and fails on a longer one (bufio.Scanner).
constexpr std::size_t kMaxLine = (64U << 10) - 1;
constexpr std::uint64_t kMaxId = 0x7FFFFFFF;

/// Text of a file in the image; empty when there is none.
Result<std::string> read_image_file(int root, const char* path) {
  // O_NONBLOCK: a FIFO or device under this name must not hang us before we have looked at it.
  auto fd = open_in_root(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!fd) {
    if (fd.error().code() == Errc::not_found) return std::string{};
    return Error{Errc::user, fd.error().what()};
  }
  struct stat info {};
  if (fstat(fd->get(), &info) != 0)
    return Error{Errc::user, errno_error(errno, fmt::format("stat {}", path)).what()};
  if (!S_ISREG(info.st_mode))
    return Error{Errc::user, fmt::format("{} in the image is not a regular file", path)}.hint(
        "use another image");
  if (info.st_size > static_cast<off_t>(kMaxFile))
    return Error{Errc::user, fmt::format("{} in the image has {}, more than {}", path,
                                         human_bytes(static_cast<std::uint64_t>(info.st_size)),
                                         human_bytes(kMaxFile))};
  std::string data(static_cast<std::size_t>(info.st_size), '\0');
  std::size_t have = 0;
  while (have < data.size()) {
    const ssize_t got = ::read(fd->get(), data.data() + have, data.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    have += static_cast<std::size_t>(got);
  }
  data.resize(have);
  return data;
}

/// Calls `take` with the fields of each line of at least `count`; stops when it returns true.
/// Errors: user (line too long).
template <class Take>
Status each_entry(std::string_view data, const char* path, std::size_t count, Take take) {
  for (const auto line : split(data, '\n')) {
    if (line.size() > kMaxLine)
      return Error{Errc::user, fmt::format("{} in the image has a line longer than {}", path,
                                           human_bytes(kMaxLine))};
    if (line.empty() || line.front() == '#') continue;
    const auto fields = split(line, ':');
    if (fields.size() >= count && take(fields)) break;
  }
  return ok();
}

bool looks_numeric(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// A number is a number or an error, never a name: CVE-2024-40635, CVE-2026-46680.
Result<std::uint32_t> parse_id(std::string_view text, std::string_view what) {
  const auto value = parse_number(text);
  if (!value || *value > kMaxId)
    return Error{Errc::user,
                 fmt::format("{} {} is outside 0 to {}", what, printable(text), kMaxId)};
  return static_cast<std::uint32_t>(*value);
}

struct PasswdEntry {
  std::string name;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::string home;
};

/// The first entry whose name is `name`, or whose uid is `uid`.
Result<std::optional<PasswdEntry>> find_user(std::string_view passwd,
                                             std::optional<std::string_view> name,
                                             std::optional<std::uint32_t> uid) {
  std::optional<PasswdEntry> found;
  Status fault = ok();
  HF_TRY(each_entry(passwd, "/etc/passwd", 4, [&](const auto& f) {
    if (name && f[0] != *name) return false;
    const auto entry_uid = parse_id(f[2], "uid");
    if (uid && (!entry_uid || *entry_uid != *uid)) return false;
    const auto entry_gid = parse_id(f[3], "gid");
    if (!entry_uid || !entry_gid) {
      fault = Error{Errc::user, fmt::format("/etc/passwd in the image has no usable numbers for {}",
                                            printable(f[0]))};
      return true;
    }
    found = PasswdEntry{.name = std::string{f[0]},
                        .uid = *entry_uid,
                        .gid = *entry_gid,
                        .home = f.size() > 5 ? std::string{f[5]} : std::string{}};
    return true;
  }));
  HF_TRY(fault);
  return found;
}

Result<std::uint32_t> find_group(std::string_view group_file, std::string_view wanted) {
  if (looks_numeric(wanted)) return parse_id(wanted, "gid");
  std::optional<Result<std::uint32_t>> found;
  HF_TRY(each_entry(group_file, "/etc/group", 3, [&](const auto& f) {
    if (f[0] != wanted) return false;
    found = parse_id(f[2], "gid");
    return true;
  }));
  if (found) return *found;
  return Error{Errc::user,
               fmt::format("group {} is not in the image's /etc/group", printable(wanted))}
      .hint("write the number of the group");
}

Result<std::vector<std::uint32_t>> member_of(std::string_view group_file, std::string_view user,
                                             std::uint32_t primary) {
  std::set<std::uint32_t> groups;
  HF_TRY(each_entry(group_file, "/etc/group", 4, [&](const auto& f) {
    const auto members = split(f[3], ',');
    const auto gid = parse_id(f[2], "gid");
    if (gid && *gid != primary && std::find(members.begin(), members.end(), user) != members.end())
      groups.insert(*gid);
    return false;
  }));
  return std::vector<std::uint32_t>{groups.begin(), groups.end()};
}

struct Wanted {
  std::string_view user;
  std::optional<std::string_view> group;
};

Result<Wanted> split_user(std::string_view wanted) {
  if (wanted.empty()) return Wanted{.user = "0", .group = {}};
  const auto parts = split(wanted, ':');
  if (parts.size() > 2 || parts[0].empty() || (parts.size() == 2 && parts[1].empty()) ||
      wanted.find('\0') != std::string_view::npos)
    return Error{Errc::user,
                 fmt::format("user \"{}\" is not of the form user[:group]", printable(wanted))};
  return Wanted{.user = parts[0],
                .group = parts.size() == 2 ? std::optional{parts[1]} : std::nullopt};
}

}  // namespace

Result<User> resolve_user(int root, std::string_view wanted) {
  HF_ASSIGN(const auto parts, split_user(wanted));
  const bool numeric = looks_numeric(parts.user);
  std::optional<std::uint32_t> uid;
  if (numeric) {
    HF_ASSIGN(uid, parse_id(parts.user, "uid"));
  }
  HF_ASSIGN(const auto passwd, read_image_file(root, "/etc/passwd"));
  HF_ASSIGN(const auto group_file, read_image_file(root, "/etc/group"));
  HF_ASSIGN(const auto entry,
            find_user(passwd, numeric ? std::nullopt : std::optional{parts.user}, uid));
  if (!entry && !numeric)
    return Error{Errc::user,
                 fmt::format("user {} is not in the image's /etc/passwd", printable(parts.user))}
        .hint("write a numeric user, e.g. security.user: \"10001:10001\"");
  User user;
  user.uid = entry ? entry->uid : *uid;
  user.gid = entry ? entry->gid : 0;
  user.home = entry ? entry->home : "";
  if (parts.group) {
    HF_ASSIGN(user.gid, find_group(group_file, *parts.group));
  } else if (entry) {
    HF_ASSIGN(user.groups, member_of(group_file, entry->name, user.gid));
  }
  return user;
}

Result<std::uint32_t> group_id(int root, std::string_view group) {
  HF_ASSIGN(const auto group_file, read_image_file(root, "/etc/group"));
  return find_group(group_file, group);
}

Result<User> service_user(int root, const proto::Security& security, std::string_view image_user) {
  auto user = resolve_user(root, security.user ? std::string_view{*security.user} : image_user);
  if (!user)
    return std::move(user).error().in(security.user ? "resolve security.user"
                                                    : "resolve the image's user");
  if (user->uid == 0 && !security.user && security.profile == proto::Profile::hardened)
    return Error{Errc::user,
                 "the image runs as root, which the hardened profile does not do unasked"}
        .hint(
            "add security: {user: \"10001:10001\"}, or, if it must be root, security: {user: "
            "\"0:0\"}");
  for (const auto& group : security.group_add) {
    auto gid = group_id(root, group);
    if (!gid) return std::move(gid).error().in("resolve security.group_add");
    if (*gid != user->gid) user->groups.push_back(*gid);
  }
  std::sort(user->groups.begin(), user->groups.end());
  user->groups.erase(std::unique(user->groups.begin(), user->groups.end()), user->groups.end());
  return user;
}

}  // namespace holdfast::deploy::runtime
