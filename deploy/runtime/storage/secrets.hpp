#pragma once
/// \file
/// Secrets of an instance: files on tmpfs of its own, one for /run/secrets and one for those with a
/// target.

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "deploy/runtime/record/paths.hpp"
#include "deploy/runtime/record/record.hpp"
#include "deploy/runtime/storage/host_file.hpp"
#include "proto/deployment/deployment.hpp"

namespace holdfast::deploy::runtime {

/// The tmpfs that the secrets need. Errors: io.
[[nodiscard]] Status mount_secrets(const Paths& paths, const plan::InstanceId& id,
                                   const std::vector<proto::SecretRef>& secrets);

/// What is read again at each start of the process.
struct SecretsInput {
  const Paths& paths;
  plan::InstanceId id;
  const std::vector<proto::SecretRef>& secrets;
  HostFileRule rule;
  FileOwner owner;                                 ///< of those that name none
  const std::map<std::string, FileOwner>& owners;  ///< of the others, by name
};

/// Rereads every secret into the instance's tmpfs, mode 0400 where the document names no other.
/// Errors: host, naming the secret, its file and the next step, never its content.
[[nodiscard]] Status write_secrets(const SecretsInput& input);

/// Variables whose value is a secret, as `write_secrets` wrote it, without a line end: "NAME" →
/// value. Errors: host, naming variable and secret, never its content.
[[nodiscard]] Result<std::map<std::string, std::string>> secret_variables(
    const Paths& paths, const plan::InstanceId& id, const std::vector<proto::SecretRef>& secrets,
    const std::map<std::string, std::string>& wanted);

}  // namespace holdfast::deploy::runtime
