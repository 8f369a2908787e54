#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "common/base/result.hpp"
#include "deploy/engine/state/ports.hpp"
#include "deploy/plan/admission/host_warnings.hpp"
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
  plan::HostView host{};               ///< when it was read
  /// Who signed it, for the ledger; empty: it needs no signature.
  std::map<std::string, std::string> evidence{};
};

/// Without what is known of the host. Any thread.
[[nodiscard]] Candidate read_candidate(proto::api::ApplyRequest request);

/// Reads documents, and of the host what they are held against. Any thread but the engine's: the
/// configuration of each image that is here is read.
class CandidateReader {
 public:
  /// `images` outlives it; of `options`, what tells of the host is kept.
  CandidateReader(image::Images& images, const Options& options);
  [[nodiscard]] Candidate read(proto::api::ApplyRequest request) const;

 private:
  [[nodiscard]] plan::HostView host_of(const proto::Deployment& wanted) const;

  image::Images& images_;
  std::function<bool()> has_name_server_;
  std::function<Status(const proto::Service&)> host_gives_;
  std::function<std::set<plan::Address>()> host_addresses_;
};

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

/// What an entry says besides: how it was asked for, and who signed it.
[[nodiscard]] std::map<std::string, std::string> detail_of(const Candidate& candidate);

}  // namespace holdfast::deploy::engine
