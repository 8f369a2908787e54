#pragma once
#include <string>
#include <utility>

#include "proto/api/operations.hpp"

namespace holdfast::deploy::requests {

/// Who asks for something: as the ledger names them, and with which role. Reads as that name
/// wherever a text is wanted.
struct Actor {
  using Role = proto::api::Role;
  std::string name;        ///< "root (uid 0)", "source /etc/holdfast/deployment.yaml", "agent"
  Role role = Role::none;  ///< none: the host's own source, or the agent itself

  Actor(std::string named, Role with = Role::none) : name(std::move(named)), role(with) {}
  Actor(const char* named) : name(named) {}
  operator const std::string&() const { return name; }
  [[nodiscard]] bool is_root() const { return role == Role::root; }
};

}  // namespace holdfast::deploy::requests
