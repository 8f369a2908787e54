#pragma once
/// \file
/// Whether a signed document, or a new root of trust, is accepted (packaging/doc/security.md 5.2).
/// Pure: time, host and keys are arguments, and equal input gives equal output.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "deploy/trust/signatures.hpp"
#include "proto/deployment/deployment.hpp"
#include "proto/trust/root.hpp"

namespace holdfast::deploy::trust {

/// A serial may be at most this much above the last: 2^21 slips until there are no numbers left.
/// The first one may be any, a date too.
inline constexpr std::uint64_t kLongestJump = 1ULL << 32;
/// How far ahead of this host a publisher's clock may be.
inline constexpr auto kMostAhead = std::chrono::hours{24};

/// What was accepted last; nothing is accepted below it.
struct Floor {
  std::uint64_t serial = 0;  ///< 0: nothing was accepted yet
  std::string document;      ///< sha256 of all bytes of the document of that serial, in hex
  std::string content;       ///< its spec digest
  WallTime time{};           ///< the latest `issued` of all accepted documents
  WallTime expires{};        ///< of the document of that serial
  bool operator==(const Floor&) const = default;
};

/// The host that is asked to run it.
struct HostFacts {
  WallTime now{};
  std::map<std::string, std::string> labels;  ///< with "host"
};

/// What a document is to a host that has the floor.
enum class Novelty : std::uint8_t {
  content,   ///< what runs may change
  refresh,   ///< the same content under a later serial: floor and expiry move, nothing else
  repeated,  ///< the very document that was accepted last
};

struct AcceptedDocument {
  std::string yaml;      ///< the bytes that were signed
  std::string document;  ///< their sha256, in hex
  std::string content;   ///< spec digest
  std::uint64_t serial = 0;
  WallTime issued{};
  WallTime expires{};
  std::vector<proto::trust::PublicKey> signers;  ///< of the role's keys
  Novelty novelty = Novelty::content;
};

/// The first root, from a file that was put on the host by hand: signed by a threshold of its own
/// keys, so that it is whole and its keys can sign. Errors: those of `read_envelope` and
/// `read_root`, sig_invalid (another kind of payload), spec_threshold, those of `check`.
[[nodiscard]] Result<proto::trust::Root> verify_first_root(std::string_view text,
                                                           const CheckSignatures& check);

/// The version after `current`: signed by a threshold of the root keys of `current` and of its own,
/// for the same deployment. Its expiry is not looked at: only the last one's counts. Errors: as of
/// `verify_first_root`; spec_rollback (another version than the next), spec_target (another
/// deployment).
[[nodiscard]] Result<proto::trust::Root> verify_next_root(const proto::trust::Root& current,
                                                          std::string_view text,
                                                          const CheckSignatures& check);

/// Judges a signed document. The code of the error is the reason: README.md has the table.
[[nodiscard]] Result<AcceptedDocument> verify_document(const proto::trust::Root& root,
                                                       const Floor& floor, const HostFacts& host,
                                                       std::string_view text,
                                                       const CheckSignatures& check);

/// The floor once `accepted` counts. Serial and time never go down.
[[nodiscard]] Floor raise(const Floor& floor, const AcceptedDocument& accepted);

}  // namespace holdfast::deploy::trust
