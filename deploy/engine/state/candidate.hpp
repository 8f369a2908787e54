#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "common/base/result.hpp"
#include "deploy/plan/model/window.hpp"
#include "proto/api/messages.hpp"
#include "proto/deployment/deployment.hpp"

namespace holdfast::deploy::engine {

/// A document that somebody wants to run, as it was read: away from the engine thread, for foreign
/// bytes take the time they take (bounds in proto/yaml/tree.hpp).
struct Candidate {
  proto::api::ApplyRequest request;
  Result<proto::Deployment> document;  ///< errors: those of `load_deployment` and its time zones
  plan::Zones zones{};                 ///< that its windows name
  /// Who signed it, for the ledger; empty: it needs no signature.
  std::map<std::string, std::string> evidence{};
};

/// Any thread.
[[nodiscard]] Candidate read_candidate(proto::api::ApplyRequest request);

/// A document that was accepted before, as the ledger has it.
struct StoredDocument {
  Result<proto::Deployment> document;
  Status zones_known = ok();  ///< errors: those of `add_zones`
  plan::Zones zones{};        ///< those that this host knows
};

/// Any thread. `generation`: for messages.
[[nodiscard]] StoredDocument read_stored(std::string_view text, std::uint64_t generation);

/// Adds the time zones that the windows of `document` name to `zones`. Errors: those of
/// `os::load_time_zone`, naming the service.
[[nodiscard]] Status add_zones(const proto::Deployment& document, plan::Zones& zones);

}  // namespace holdfast::deploy::engine
