#pragma once
/// \file
/// Who may do what (packaging/doc/design.md 9): roles by group, root has all.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/daemon/http.hpp"
#include "common/base/result.hpp"
#include "proto/api/operations.hpp"

namespace holdfast::agent::daemon {

using proto::api::Role;

/// Roles of groups, resolved once.
class Access {
 public:
  /// `groups`: role → group name, from agent.yaml. Errors: not_found (no such group), usage (no
  /// such role).
  [[nodiscard]] static Result<Access> create(const std::map<std::string, std::string>& groups);
  /// The same with those that are known now: a name service may come later than the agent. Errors:
  /// usage. May block for as long as a name service does.
  struct Resolved;
  [[nodiscard]] static Result<Resolved> resolve(const std::map<std::string, std::string>& groups);

  /// Root and the agent's own user have every role.
  [[nodiscard]] Role role_of(const Peer& peer) const;
  /// Groups that must be able to open the socket.
  [[nodiscard]] std::vector<gid_t> groups() const;

 private:
  std::map<gid_t, Role> roles_;
};

struct Access::Resolved {
  Access access;
  std::optional<Error> missing;  ///< of the first group that is not known
};

/// Of the process that connected. Errors: io.
[[nodiscard]] Result<Peer> peer_of(int socket_fd);

/// "root (uid 0)", "uid 1234" for a user that /etc/passwd does not know. No name service is asked.
[[nodiscard]] std::string actor_name(uid_t uid);
/// The same of who sent a request.
[[nodiscard]] std::string actor_of(const Request& request);

}  // namespace holdfast::agent::daemon
