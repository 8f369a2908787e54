#pragma once
/// \file
/// An entry of the ledger: what happened, who wanted it, why, and what proves it
/// (packaging/doc/design.md 8).

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "proto/digest.hpp"
#include "proto/words.hpp"

namespace holdfast::proto {

/// Closed set; text form is snake_case as written.
enum class EntryKind : std::uint8_t {
  agent_started,
  accepted,         ///< a generation was accepted
  apply_unchanged,  ///< a document that already runs was applied again
  refused,          ///< a document was refused (quarantined, held, policy)
  rollout_started,
  phase,     ///< a rollout entered a phase
  switched,  ///< traffic moved
  good,
  failed,
  rollback_started,  ///< by an operator, or by the agent
  rolled_back,
  superseded,
  quarantined,
  released,
  held,
  resumed,
  drift_detected,
  drift_repaired,
  instance_exited,
  restarted,
  collected,
  hook_started,       ///< detail: stage, instance
  hook_finished,      ///< with exit code 0
  hook_failed,        ///< detail: stage, exit_code, oom
  rehearsal_started,  ///< the generation's instances start beside what serves
  rehearsed,          ///< detail: verdict (passed | failed | interrupted)
  standby_dropped,    ///< frozen instances given up before their time
  drained,            ///< connections outlasted a drain and were reset; detail: reset_connections
  recovered,          ///< a damaged ledger was rebuilt; detail: what was kept, lost, moved away
  stop_killed,        ///< it outlived the timeout of its stop rule; detail: instance, timeout
  completed,          ///< a one-shot ended with exit code 0; detail: instance
  stopped,            ///< a service, by an operator; detail: until
  started,            ///< a service again, by an operator or because its stop ended
  exec_started,       ///< a command in an instance, by an operator; detail: instance, command
  exec_ended,         ///< detail: instance, exit_code or outcome
};
template <>
struct Words<EntryKind> {
  static constexpr std::array<std::string_view, 35> kAll{"agent_started",
                                                         "accepted",
                                                         "apply_unchanged",
                                                         "refused",
                                                         "rollout_started",
                                                         "phase",
                                                         "switched",
                                                         "good",
                                                         "failed",
                                                         "rollback_started",
                                                         "rolled_back",
                                                         "superseded",
                                                         "quarantined",
                                                         "released",
                                                         "held",
                                                         "resumed",
                                                         "drift_detected",
                                                         "drift_repaired",
                                                         "instance_exited",
                                                         "restarted",
                                                         "collected",
                                                         "hook_started",
                                                         "hook_finished",
                                                         "hook_failed",
                                                         "rehearsal_started",
                                                         "rehearsed",
                                                         "standby_dropped",
                                                         "drained",
                                                         "recovered",
                                                         "stop_killed",
                                                         "completed",
                                                         "stopped",
                                                         "started",
                                                         "exec_started",
                                                         "exec_ended"};
};
[[nodiscard]] constexpr std::string_view to_string(EntryKind kind) { return word_of(kind); }
[[nodiscard]] std::optional<EntryKind> entry_kind_from(std::string_view text);

struct Entry {
  EntryKind kind = EntryKind::agent_started;
  WallTime time{};
  std::string actor;  ///< "root (uid 0)", "source file", "agent"
  std::string reason;
  std::uint64_t generation = 0;  ///< 0: none
  std::optional<Digest> spec_digest;
  std::string service;                               ///< empty: the deployment as a whole
  std::map<std::string, std::string> images_before;  ///< service → manifest digest
  std::map<std::string, std::string> images_after;
  std::map<std::string, std::string>
      detail;  ///< evidence, phase, outcome, …; keys are snake_case words
  bool operator==(const Entry&) const = default;
};

/// Canonical JSON of an entry: sorted keys, no blanks, empty members left out. The ledger stores
/// and hashes these bytes.
[[nodiscard]] std::string encode_entry(const Entry& entry);
/// Errors: ledger_corrupt.
[[nodiscard]] Result<Entry> decode_entry(std::string_view blob);

/// sha256("ledger-v1\n" number "\n" previous-hash-hex "\n" blob), lower-case hex. The first entry's
/// previous hash is 64 zeros.
[[nodiscard]] std::string entry_hash(std::uint64_t number, std::string_view previous_hash,
                                     std::string_view blob);

}  // namespace holdfast::proto
