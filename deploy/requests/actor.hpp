#pragma once
#include <string>
#include <utility>

#include "proto/api/operations.hpp"

namespace holdfast::deploy::requests {

/// Who asks for something: as the ledger names them, and with which role. Reads as that name
/// wherever a text is wanted; a name alone is nobody who asks, as it says nothing of the role.
struct Actor {
  using Role = proto::api::Role;
  std::string name;  ///< "root (uid 0)", "source /etc/holdfast/deployment.yaml", "agent"
  Role role;         ///< none: the host's own source, or the agent itself: they are not counted

  Actor(std::string named, Role with) : name(std::move(named)), role(with) {}
  /// Of what the agent does by itself.
  [[nodiscard]] static Actor agent() { return {"agent", Role::none}; }
  /// The host's own source of deployments, by its name.
  [[nodiscard]] static Actor source(std::string named) { return {std::move(named), Role::none}; }
  operator const std::string&() const { return name; }
  [[nodiscard]] bool is_root() const { return role == Role::root; }
};

}  // namespace holdfast::deploy::requests
