#pragma once
/// \file
/// The port through which an instance gets its network namespace and its address.

#include <filesystem>
#include <optional>
#include <set>
#include <string>

#include "common/base/result.hpp"
#include "deploy/network/port/publisher.hpp"

namespace holdfast::deploy::network {

/// A network namespace of its own, pinned in the file system, with an address.
struct Attachment {
  std::filesystem::path
      netns;            ///< bind mount of the namespace, for runc's `linux.namespaces[].path`
  Address address = 0;  ///< of its eth0
  bool operator==(const Attachment&) const = default;
};

/// Gives instances their network. Ids are `[A-Za-z0-9][A-Za-z0-9_.-]{0,63}` (the rule of CNI and of
/// runc). Thread safe; calls for one id are serialised inside. Calls block (≤ 30 s a plugin) and
/// never belong on the engine thread, except `find`, which reads two small files.
class Attachments {
 public:
  virtual ~Attachments() = default;

  /// Namespace, loopback, address, routes. Safe to repeat: what is already attached and whole is
  /// returned as it is; what is half there is taken down first. After a failure nothing of it is
  /// left. Errors: cni, usage (bad id), io, nospace.
  virtual Result<Attachment> attach(const std::string& id) = 0;

  /// CNI DEL in reverse order with the final ADD result, then the namespace. Unknown id is success.
  /// Works after a restart of the agent, and when the namespace was deleted behind our back.
  /// Errors: cni (what is left stays recorded, so that it can be repeated).
  virtual Status detach(const std::string& id) = 0;

  /// What is attached and whole: recorded, and its namespace still pinned. Nothing for an id that
  /// is unknown or half there.
  virtual Result<std::optional<Attachment>> find(const std::string& id) = 0;

  /// Detaches every id that is not in `known`, and frees addresses that no recorded attachment
  /// holds. Returns how many ids went.
  virtual Result<std::size_t> sweep(const std::set<std::string>& known) = 0;
};

}  // namespace holdfast::deploy::network
