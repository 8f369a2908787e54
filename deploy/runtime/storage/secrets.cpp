#include "deploy/runtime/storage/secrets.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <set>
#include <utility>

#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "deploy/runtime/spec/command.hpp"
#include "deploy/runtime/storage/mounts.hpp"
#include "proto/deployment/rules.hpp"

namespace holdfast::deploy::runtime {
namespace {

Status write_secret(const SecretsInput& input, const proto::SecretRef& secret) {
  if (!proto::rules::is_file_name(secret.name))
    return Error{Errc::runtime, "not a name for a secret"};
  constexpr proto::FileMode kUsual = 0400;
  const auto at = input.paths.secret(input.id, secret);
  const auto fresh = at.parent_path() / ("." + secret.name + ".");
  const auto named = input.owners.find(secret.name);
  const auto& owner = named == input.owners.end() ? input.owner : named->second;
  HF_ASSIGN(const auto content, read_host_file(secret.file, input.rule));
  ::unlink(fresh.c_str());
  HF_ASSIGN(const auto fd, os::open_file(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0400));
  HF_TRY(os::write_all(fd.get(), content));
  if (::fchown(fd.get(), owner.uid, owner.gid) != 0) return errno_error(errno, "chown");
  if (::fchmod(fd.get(), secret.mode.value_or(kUsual)) != 0) return errno_error(errno, "chmod");
  if (::rename(fresh.c_str(), at.c_str()) != 0) return errno_error(errno, "rename");
  return ok();
}

}  // namespace

Status mount_secrets(const Paths& paths, const plan::InstanceId& id,
                     const std::vector<proto::SecretRef>& secrets) {
  std::set<std::filesystem::path> mounted;
  for (const auto& secret : secrets) {
    const auto at = paths.secret(id, secret).parent_path();
    if (!mounted.insert(at).second) continue;
    HF_TRY(os::make_directories(at, 0755));
    HF_TRY(mount_secret_tmpfs(at));
  }
  return ok();
}

Status write_secrets(const SecretsInput& input) {
  for (const auto& secret : input.secrets) {
    auto done = write_secret(input, secret);
    if (done) continue;
    auto next = done.error().next_step();
    if (next.empty())
      next = fmt::format("create {} or change secrets[].file", printable(secret.file));
    return Error{
        Errc::host,
        std::move(done).error().in(fmt::format("read secret {}", printable(secret.name))).what()}
        .hint(std::move(next));
  }
  return ok();
}

Result<std::map<std::string, std::string>> secret_variables(
    const Paths& paths, const plan::InstanceId& id, const std::vector<proto::SecretRef>& secrets,
    const std::map<std::string, std::string>& wanted) {
  std::map<std::string, std::string> out;
  for (const auto& [name, source] : wanted) {
    const auto known =
        std::find_if(secrets.begin(), secrets.end(),
                     [&secret = source](const auto& each) { return each.name == secret; });
    if (known == secrets.end())
      return Error{Errc::runtime, fmt::format("env {} names no secret of the service", name)};
    HF_ASSIGN(auto value, os::read_regular_file(paths.secret(id, *known), kMaxHostFile));
    HF_ASSIGN(out[name], variable_value(std::move(value), name));
  }
  return out;
}

}  // namespace holdfast::deploy::runtime
