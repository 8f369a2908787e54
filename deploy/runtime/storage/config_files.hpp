#pragma once
/// \file
/// Files of a service that belong to its generation (`configs`). Their content is kept by its
/// digest, so that a rollback and a restart of the process need nothing else of the host:
///
/// ```
/// state_dir/configs/<hex>              content, 0600, until no retained document names it
/// run_dir/instances/<id>/configs/<n>   what the n-th config of the instance is bound from
/// ```

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "deploy/runtime/record/paths.hpp"
#include "deploy/runtime/record/record.hpp"
#include "deploy/runtime/storage/host_file.hpp"
#include "proto/deployment/deployment.hpp"

namespace holdfast::deploy::runtime {

/// Content of `config`: as the document has it, as it was kept, else of its file on the host, by
/// `rule`. The digest is checked whichever it is. Blocks. Errors: host, naming the file and the
/// next step, and never what is in it; io.
[[nodiscard]] Result<std::string> config_content(const Paths& paths,
                                                 const proto::ConfigFile& config,
                                                 const HostFileRule& rule);

/// Whether `config_content` would find it. Reads no more than that. Errors: as above.
[[nodiscard]] Status check_config(const Paths& paths, const proto::ConfigFile& config,
                                  const HostFileRule& rule);

/// Keeps the content and writes the file that is bound into the instance: with its mode and owner,
/// in place of an earlier one. Repeating it changes nothing. Errors: as `config_content`, nospace.
[[nodiscard]] Result<PlacedConfig> place_config(const Paths& paths, const plan::InstanceId& id,
                                                std::size_t number, const proto::ConfigFile& config,
                                                const FileOwner& owner, const HostFileRule& rule);
/// The same for all of an instance, from what is kept: before its process is started again. Errors:
/// host, when the content is gone.
[[nodiscard]] Status replace_configs(const Paths& paths, const plan::InstanceId& id,
                                     const std::vector<PlacedConfig>& placed);

/// Which of the placed files are not as they were placed, in words; empty: none.
[[nodiscard]] std::string configs_text(const Paths& paths, const plan::InstanceId& id,
                                       const std::vector<PlacedConfig>& placed);

/// Deletes kept content that `in_use` does not name. What was kept within `young` stays: its
/// document may be on its way. Errors: io.
[[nodiscard]] Status forget_configs(const Paths& paths, const std::set<proto::Digest>& in_use,
                                    WallTime now, Milliseconds young = std::chrono::hours{1});

}  // namespace holdfast::deploy::runtime
