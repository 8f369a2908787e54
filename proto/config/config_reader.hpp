#pragma once
/// \file
/// Parts of reading agent.yaml. Internal to proto/config.

#include <string_view>

#include "proto/config/agent_config.hpp"
#include "proto/deployment/readers.hpp"
#include "proto/yaml/fields.hpp"

namespace holdfast::proto {

/// Stores an absolute, clean path. True when there was one.
template <class Into>
bool read_path(yaml::Fields& fields, std::string_view key, Into& into) {
  const auto text = fields.text(key);
  if (!text ||
      !accept(fields.findings(), text->mark, fields.path(key), rules::check_path(text->value)))
    return false;
  into = text->value;
  return true;
}

/// The mapping `source`.
void read_source(yaml::Fields& top, AgentConfig& config);
/// The mapping of hosts below `registries`.
void read_registries(yaml::Fields& top, AgentConfig& config);
/// The key `proxy`, of the host or of a registry; none when it is not there. `off` is a proxy that
/// says nothing.
[[nodiscard]] std::optional<ProxyConfig> read_proxy(yaml::Fields& top);

}  // namespace holdfast::proto
