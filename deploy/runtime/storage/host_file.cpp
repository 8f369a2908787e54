#include "deploy/runtime/storage/host_file.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "common/os/guarded_path.hpp"
#include "deploy/runtime/spec/root_path.hpp"
#include "deploy/runtime/storage/host_places.hpp"

namespace holdfast::deploy::runtime {
namespace {

std::string_view word(HostFileUse use) { return use == HostFileUse::secret ? "secret" : "config"; }

/// One file that is asked for.
struct Asked {
  const std::string& path;
  const HostFileRule& rule;

  [[nodiscard]] bool listed() const { return !rule.allowed.empty(); }
  [[nodiscard]] std::string named() const {
    return fmt::format("{} file {}", word(rule.use), printable(path));
  }
  [[nodiscard]] Error refused(std::string_view why) const {
    return {Errc::policy, fmt::format("{} is refused: {}", named(), why)};
  }
  [[nodiscard]] std::string made_for_it() const {
    return fmt::format("give the service a {} made for it", word(rule.use));
  }
};

bool is_allowed(const Asked& asked) {
  return std::any_of(asked.rule.allowed.begin(), asked.rule.allowed.end(),
                     [&](const auto& prefix) { return is_within(asked.path, clean_path(prefix)); });
}

Status check_place(const Asked& asked) {
  const auto& path = asked.path;
  if (path.size() < 2 || path.front() != '/' || clean_path(path) != path)
    return asked.refused("it is not absolute and clean");
  for (const auto& place : asked.rule.refused)
    if (is_within(path, place)) return asked.refused(fmt::format("{} belongs to the agent", place));
  if (asked.listed()) {
    if (is_allowed(asked)) return ok();
    return asked.refused("it is not below an allowed path")
        .hint("add it to policy.allowed_secret_paths in agent.yaml");
  }
  for (const auto place : kPlacesOfTheHost)
    if (is_within(path, place))
      return asked.refused(fmt::format("{} is the host's own", place)).hint(asked.made_for_it());
  for (const auto place : kPlacesOfTheKernel)
    if (is_within(path, place))
      return asked.refused(fmt::format("what lies below {} is the host's own", place))
          .hint(asked.rule.use == HostFileUse::config
                    ? asked.made_for_it()
                    : "list its place in policy.allowed_secret_paths of agent.yaml, or " +
                          asked.made_for_it());
  return ok();
}

Error through_link(const Asked& asked, const std::string& link) {
  std::error_code failed;
  const auto real = std::filesystem::canonical(asked.path, failed).string();
  return asked.refused(fmt::format("{} is a symlink", printable(link)))
      .hint(failed ? "write the path of a file" : "write file: " + printable(real));
}

Status check_owner(const Asked& asked, const std::string& part, const struct stat& info) {
  if (asked.listed() || asked.rule.use == HostFileUse::config) return ok();
  const auto safe = os::check_only_root_writes(part, info);
  if (safe) return ok();
  return asked.refused(safe.error().what())
      .hint(safe.error().next_step() +
            ", or list its place in policy.allowed_secret_paths of agent.yaml");
}

/// Neither it nor a directory on the way.
Status check_not_the_hosts(const Asked& asked, const struct stat& info) {
  const auto place = same_place(info, kPlacesOfTheHost);
  if (place.empty()) return ok();
  return asked.refused(fmt::format("it is {}, the host's own", place)).hint(asked.made_for_it());
}

/// Which other names it has nobody can tell: one may lie where it would be refused.
Status check_one_name(const Asked& asked, const struct stat& info) {
  if (info.st_nlink <= 1 || asked.listed()) return ok();
  return asked.refused(fmt::format("it has {} names (hard links)", info.st_nlink))
      .hint("copy it to a file of its own");
}

Status check_part(const Asked& asked, const std::string& part, const struct stat& info) {
  if (S_ISLNK(info.st_mode)) return through_link(asked, part);
  if (part == asked.path) {
    if (!S_ISREG(info.st_mode)) return asked.refused("it is not a regular file");
    if (static_cast<std::uint64_t>(info.st_size) > kMaxHostFile)
      return Error{Errc::too_large,
                   fmt::format("{} is larger than {} bytes", asked.named(), kMaxHostFile)};
  } else if (!S_ISDIR(info.st_mode)) {
    return Error{Errc::not_found, fmt::format("{} is not a directory", printable(part))};
  }
  // A place that is listed may lie in one of them; what lies there may not be one of their files.
  if (part == asked.path || !asked.listed()) HF_TRY(check_not_the_hosts(asked, info));
  if (part == asked.path) HF_TRY(check_one_name(asked, info));
  return check_owner(asked, part, info);
}

/// The file without a right to read it.
Result<os::UniqueFd> walk_to(const Asked& asked) {
  HF_TRY(check_place(asked));
  return os::open_guarded(asked.path, [&](const std::string& part, const struct stat& info) {
    return check_part(asked, part, info);
  });
}

}  // namespace

Status check_host_file(const std::string& path, const HostFileRule& rule) {
  auto file = walk_to({path, rule});
  if (!file) return std::move(file).error();
  return ok();
}

Result<std::string> read_host_file(const std::string& path, const HostFileRule& rule) {
  HF_ASSIGN(const auto file, walk_to({path, rule}));
  auto content = os::read_regular_file(fmt::format("/proc/self/fd/{}", file.get()), kMaxHostFile);
  if (content) return content;
  return Error{content.error().code(), "read " + printable(path)};
}

}  // namespace holdfast::deploy::runtime
