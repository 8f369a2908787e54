#pragma once
/// \file
/// Kinds of differences between declared and real, and what is done about each
/// (packaging/doc/design.md 4). The key `drift` of a deployment and of agent.yaml.

#include <cstdint>
#include <map>
#include <optional>
#include <string_view>

#include "proto/words.hpp"

namespace holdfast::proto {

enum class DriftKind : std::uint8_t {
  missing,
  exited,
  frozen,        ///< by others: what we freeze is no longer served
  unsupervised,  ///< its conmon is gone
  wrong_run_hash,
  wrong_image,
  limits,   ///< the control group enforces something else
  mounts,   ///< something was mounted or unmounted inside
  network,  ///< namespace or address changed
  publish,  ///< the nftables table
  foreign_process,
  writes,  ///< into a writable root
  secret,  ///< the file on the host is not what the service was given
  config,  ///< a file that belongs to the generation was altered
  layer_damaged,
  orphan,  ///< an instance of ours that nothing asked for
};
template <>
struct Words<DriftKind> {
  static constexpr std::array<std::string_view, 16> kAll{
      "missing", "exited", "frozen",        "unsupervised", "wrong_run_hash",  "wrong_image",
      "limits",  "mounts", "network",       "publish",      "foreign_process", "writes",
      "secret",  "config", "layer_damaged", "orphan"};
};
[[nodiscard]] constexpr std::string_view to_string(DriftKind kind) { return word_of(kind); }

enum class DriftAction : std::uint8_t {
  repair,
  report,
  hold,  ///< reported, and changes wait until somebody looked
};
template <>
struct Words<DriftAction> {
  static constexpr std::array<std::string_view, 3> kAll{"repair", "report", "hold"};
};
[[nodiscard]] constexpr std::string_view to_string(DriftAction action) { return word_of(action); }

/// What somebody wrote: a word for all kinds (`default`) and words for some.
struct DriftPolicy {
  std::optional<DriftAction> fallback;
  std::map<DriftKind, DriftAction> kinds;
  [[nodiscard]] bool says_nothing() const { return !fallback && kinds.empty(); }
  bool operator==(const DriftPolicy&) const = default;
};

/// The host's word counts before the document's, and one for the kind before `default`; where both
/// are silent, what can be put right without stopping the service is repaired, and `mounts`,
/// `foreign_process`, `writes`, `secret` and `config` are reported.
[[nodiscard]] DriftAction drift_action(DriftKind kind, const DriftPolicy& host,
                                       const DriftPolicy& document);

}  // namespace holdfast::proto
