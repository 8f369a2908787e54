#pragma once
#include <string>
#include <utility>
#include <vector>

#include "deploy/runtime/storage/host_file.hpp"
#include "deploy/runtime/storage/service_mounts.hpp"

namespace holdfast::deploy::runtime {

/// What of the host may become a service's, for who makes instances and for who asks beforehand
/// whether they could be made. `allowed` is what agent.yaml lists.
class HostRules {
 public:
  /// `own`: the agent's own files and directories (proto::own_places).
  explicit HostRules(std::vector<std::string> own) : own_(std::move(own)) {}

  [[nodiscard]] HostFileRule secret(std::vector<std::string> allowed) const {
    return {HostFileUse::secret, std::move(allowed), own_};
  }
  [[nodiscard]] HostFileRule config() const { return {HostFileUse::config, {}, own_}; }
  /// Where the agent's files usually are is no volume as a whole.
  [[nodiscard]] HostPathRule volume(std::vector<std::string> allowed) const {
    auto refused = own_;
    refused.emplace_back("/etc/holdfast");
    return {std::move(allowed), std::move(refused)};
  }

 private:
  std::vector<std::string> own_;
};

}  // namespace holdfast::deploy::runtime
