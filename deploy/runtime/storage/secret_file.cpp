#include "deploy/runtime/storage/secret_file.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "common/os/guarded_path.hpp"
#include "deploy/runtime/spec/root_path.hpp"

namespace holdfast::deploy::runtime {
namespace {

/// What says who may be the host's root or its users is no secret of a service.
constexpr std::array<std::string_view, 11> kNeverSecrets{
    "/etc/shadow",    "/etc/shadow-",     "/etc/gshadow", "/etc/gshadow-",
    "/etc/security",  "/etc/sudoers",     "/etc/ssh",     "/root/.ssh",
    "/etc/sudoers.d", "/etc/krb5.keytab", "/var/lib/sss"};

/// The kernel's own files, and what programs and the credentials of other units leave for
/// themselves: secrets of services are among them only where the operator says so.
constexpr std::array<std::string_view, 6> kOnlyListed{"/proc", "/sys",     "/dev",
                                                      "/run",  "/var/run", "/boot"};

Error not_a_secret(const std::string& path, std::string_view why) {
  return {Errc::policy, fmt::format("secret file {} is refused: {}", printable(path), why)};
}

bool is_allowed(const std::string& path, const SecretFileRule& rule) {
  return std::any_of(rule.allowed.begin(), rule.allowed.end(),
                     [&](const auto& prefix) { return is_within(path, clean_path(prefix)); });
}

Status check_secret_place(const std::string& path, const SecretFileRule& rule) {
  if (path.size() < 2 || path.front() != '/' || clean_path(path) != path)
    return not_a_secret(path, "it is not absolute and clean");
  for (const auto& place : rule.refused)
    if (is_within(path, place))
      return not_a_secret(path, fmt::format("{} belongs to the agent", place));
  if (!rule.allowed.empty()) {
    if (is_allowed(path, rule)) return ok();
    return not_a_secret(path, "it is not below an allowed path")
        .hint("add it to policy.allowed_secret_paths in agent.yaml");
  }
  for (const auto place : kNeverSecrets)
    if (is_within(path, place))
      return not_a_secret(path, fmt::format("{} is the host's own", place))
          .hint("give the service a secret made for it");
  for (const auto place : kOnlyListed)
    if (is_within(path, place))
      return not_a_secret(path, fmt::format("what lies below {} is the host's own", place))
          .hint(
              "list its place in policy.allowed_secret_paths of agent.yaml, or give the service a "
              "secret made for it");
  return ok();
}

Error through_secret_link(const std::string& path, const std::string& link) {
  std::error_code failed;
  const auto real = std::filesystem::canonical(path, failed).string();
  return not_a_secret(path, fmt::format("{} is a symlink", printable(link)))
      .hint(failed ? "write the path of a file" : "write file: " + printable(real));
}

Status check_secret_owner(const std::string& path, const std::string& part,
                          const struct stat& info) {
  const auto safe = os::check_only_root_writes(part, info);
  if (safe) return ok();
  return not_a_secret(path, safe.error().what())
      .hint(safe.error().next_step() +
            ", or list its place in policy.allowed_secret_paths of agent.yaml");
}

/// A hard link or a bind mount gives one of them another name. What lies in a directory of theirs
/// has one name only: nobody links there but root.
Status check_not_the_hosts(const std::string& path, const struct stat& info) {
  for (const auto place : kNeverSecrets) {
    struct stat known {};
    if (::stat(std::string{place}.c_str(), &known) != 0 || S_ISDIR(known.st_mode)) continue;
    if (known.st_dev == info.st_dev && known.st_ino == info.st_ino)
      return not_a_secret(path, fmt::format("it is {}, the host's own", place))
          .hint("give the service a secret made for it");
  }
  return ok();
}

Status check_secret_part(const std::string& path, const std::string& part, const struct stat& info,
                         const SecretFileRule& rule) {
  if (S_ISLNK(info.st_mode)) return through_secret_link(path, part);
  if (part == path) {
    if (!S_ISREG(info.st_mode)) return not_a_secret(path, "it is not a regular file");
    if (static_cast<std::uint64_t>(info.st_size) > kMaxSecret)
      return Error{Errc::too_large, fmt::format("secret file {} is larger than {} bytes",
                                                printable(path), kMaxSecret)};
    HF_TRY(check_not_the_hosts(path, info));
  } else if (!S_ISDIR(info.st_mode)) {
    return Error{Errc::not_found, fmt::format("{} is not a directory", printable(part))};
  }
  return rule.allowed.empty() ? check_secret_owner(path, part, info) : ok();
}

/// The file without a right to read it.
Result<os::UniqueFd> walk_to(const std::string& path, const SecretFileRule& rule) {
  HF_TRY(check_secret_place(path, rule));
  return os::open_guarded(path, [&](const std::string& part, const struct stat& info) {
    return check_secret_part(path, part, info, rule);
  });
}

}  // namespace

Status check_secret_file(const std::string& path, const SecretFileRule& rule) {
  auto file = walk_to(path, rule);
  if (!file) return std::move(file).error();
  return ok();
}

Result<std::string> read_secret_file(const std::string& path, const SecretFileRule& rule) {
  HF_ASSIGN(const auto file, walk_to(path, rule));
  auto content = os::read_file(fmt::format("/proc/self/fd/{}", file.get()), kMaxSecret);
  if (content) return content;
  return Error{content.error().code(), "read " + printable(path)};
}

}  // namespace holdfast::deploy::runtime
