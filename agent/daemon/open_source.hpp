#pragma once
#include <memory>
#include <string>

#include "common/base/clock.hpp"
#include "deploy/desired/source.hpp"
#include "proto/config/agent_config.hpp"

namespace holdfast::agent::daemon {

/// The source that the configuration names, which is not empty. `clock` outlives it. Errors: io (no
/// more inotify instances).
[[nodiscard]] Result<std::unique_ptr<deploy::desired::Source>> open_source(
    const proto::AgentConfig& config, const std::string& worker_path, const Clock& clock);

}  // namespace holdfast::agent::daemon
