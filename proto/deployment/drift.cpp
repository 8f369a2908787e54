#include "proto/deployment/drift.hpp"

#include <array>

#include "proto/deployment/readers.hpp"

namespace holdfast::proto {
namespace {

constexpr auto& kKindNames = Words<DriftKind>::kAll;
constexpr auto& kActionNames = Words<DriftAction>::kAll;
constexpr auto kDriftKinds = kKindNames.size();

constexpr std::array<std::string_view, kDriftKinds + 1> drift_keys() {
  std::array<std::string_view, kDriftKinds + 1> keys{"default"};
  for (std::size_t i = 0; i < kDriftKinds; ++i) keys[i + 1] = kKindNames[i];
  return keys;
}
constexpr auto kDriftKeys = drift_keys();

std::optional<DriftAction> word_of(DriftKind kind, const DriftPolicy& policy) {
  const auto found = policy.kinds.find(kind);
  return found == policy.kinds.end() ? policy.fallback : std::optional{found->second};
}

}  // namespace

DriftAction drift_action(DriftKind kind, const DriftPolicy& host, const DriftPolicy& document) {
  if (const auto word = word_of(kind, host)) return *word;
  if (const auto word = word_of(kind, document)) return *word;
  const bool needs_a_stop = kind == DriftKind::mounts || kind == DriftKind::foreign_process ||
                            kind == DriftKind::writes || kind == DriftKind::secret ||
                            kind == DriftKind::config;
  return needs_a_stop ? DriftAction::report : DriftAction::repair;
}

DriftPolicy read_drift_policy(yaml::Fields& top, json::Object& canon) {
  DriftPolicy policy;
  const auto* node = top.find("drift");
  if (node == nullptr) return policy;
  yaml::Fields fields{*node, "drift", kDriftKeys, top.findings()};
  json::Object words;
  for (std::size_t i = 0; i < kDriftKeys.size(); ++i) {
    const auto chosen = fields.choice(kDriftKeys[i], kActionNames);
    if (!chosen) continue;
    const auto action = static_cast<DriftAction>(*chosen);
    words.set(kDriftKeys[i], kActionNames[*chosen]);
    if (i == 0) {
      policy.fallback = action;
    } else {
      policy.kinds.emplace(static_cast<DriftKind>(i - 1), action);
    }
  }
  if (!policy.says_nothing()) canon.set("drift", words);
  return policy;
}

}  // namespace holdfast::proto
