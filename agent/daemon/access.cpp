#include "agent/daemon/access.hpp"

#include <fmt/format.h>
#include <grp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "common/base/text.hpp"
#include "common/os/file.hpp"

namespace holdfast::agent::daemon {
namespace {

Result<gid_t> gid_of(const std::string& name) {
  std::array<char, 16384> buffer;
  group entry{};
  group* found = nullptr;
  const int failed = getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found != nullptr) return entry.gr_gid;
  if (failed != 0 && failed != ENOENT)
    return errno_error(failed, fmt::format("look up group {}", printable(name)));
  return Error{Errc::not_found, fmt::format("there is no group \"{}\"", printable(name))}.hint(
      fmt::format("groupadd --system {}, or change \"groups\" in agent.yaml", printable(name)));
}

}  // namespace

Result<Access> Access::create(const std::map<std::string, std::string>& groups) {
  HF_ASSIGN(auto resolved, resolve(groups));
  if (resolved.missing) return *std::move(resolved.missing);
  return std::move(resolved.access);
}

Result<Access::Resolved> Access::resolve(const std::map<std::string, std::string>& groups) {
  Resolved resolved;
  for (const auto& [role_name, group_name] : groups) {
    const auto role = proto::api::role_from(role_name);
    if (!role)
      return Error{Errc::usage,
                   fmt::format("groups: there is no role \"{}\"", printable(role_name))}
          .hint("roles are observe, rollback and deploy");
    auto gid = gid_of(group_name);
    if (!gid) {
      if (!resolved.missing) resolved.missing = std::move(gid).error().in("groups." + role_name);
      continue;
    }
    auto& held = resolved.access.roles_[*gid];
    held = std::max(held, *role);
  }
  return resolved;
}

Role Access::role_of(const Peer& peer) const {
  if (peer.uid == 0 || peer.uid == geteuid()) return Role::root;
  Role best = Role::none;
  for (const auto gid : peer.groups) {
    if (const auto found = roles_.find(gid); found != roles_.end())
      best = std::max(best, found->second);
  }
  return best;
}

std::vector<gid_t> Access::groups() const {
  std::vector<gid_t> all;
  for (const auto& [gid, role] : roles_) all.push_back(gid);
  return all;
}

Result<Peer> peer_of(int socket_fd) {
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  if (getsockopt(socket_fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
    return errno_error(errno, "read peer credentials");
  Peer peer{.uid = credentials.uid, .pid = credentials.pid, .groups = {credentials.gid}};
  std::vector<gid_t> more(64);
  for (;;) {
    auto bytes = static_cast<socklen_t>(more.size() * sizeof(gid_t));
    const int failed = getsockopt(socket_fd, SOL_SOCKET, SO_PEERGROUPS, more.data(), &bytes);
    if (failed != 0 && errno != ERANGE) break;  // the primary group is known
    const bool enough = failed == 0;
    more.resize(bytes / sizeof(gid_t));
    if (!enough) continue;
    peer.groups.insert(peer.groups.end(), more.begin(), more.end());
    break;
  }
  return peer;
}

std::string actor_name(uid_t uid) {
  if (uid == 0) return "root (uid 0)";
  const auto users = os::read_file("/etc/passwd", 1U << 20);
  if (users) {
    for (const auto line : split(*users, '\n')) {
      const auto fields = split(line, ':');
      if (fields.size() > 2 && fields[2] == std::to_string(uid))
        return fmt::format("{} (uid {})", printable(fields[0]), uid);
    }
  }
  return fmt::format("uid {}", uid);
}

std::string actor_of(const Request& request) {
  return request.peer ? actor_name(request.peer->uid) : std::string{"a client over TCP"};
}

}  // namespace holdfast::agent::daemon
