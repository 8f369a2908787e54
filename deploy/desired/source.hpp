#pragma once
/// \file
/// The port behind which deployments come from.

#include <cstdint>
#include <map>
#include <optional>
#include <stop_token>
#include <string>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"

namespace holdfast::deploy::desired {

/// One state of a source: perhaps the next deployment.
struct Candidate {
  std::string text;
  std::string sha256;  ///< of `text`, 64 hex digits
  std::string origin;  ///< the source's
  WallTime time{};     ///< since when the source has it, as the source says; never used to decide
  /// Who signed it under which serial, for the ledger; empty: it needs no signature.
  std::map<std::string, std::string> evidence = {};
};

/// What is believed of a signed source; nothing below it is accepted.
struct TrustFacts {
  std::uint64_t serial = 0;  ///< of the last accepted document; 0: none yet
  std::string document;      ///< its sha256, in hex
  WallTime expires{};        ///< its own
  std::uint64_t root_version = 0;
  WallTime root_expires{};
};

/// Where deployments come from. What it gives is not parsed and not judged yet.
class Source {
 public:
  virtual ~Source() = default;

  /// Names it in the log, the ledger and what is remembered: a path, a URL without a login.
  [[nodiscard]] virtual const std::string& origin() const = 0;

  /// Readable when the source may have changed; -1: nothing announces a change, it is read at each
  /// resync.
  [[nodiscard]] virtual int fd() const = 0;
  /// Takes what was announced; true when the source is worth reading. From one thread, does not
  /// block.
  [[nodiscard]] virtual bool take_changes() = 0;

  /// What the source holds now, at most 1 MiB. Blocks, honours `stop` within a second; may be
  /// called while another thread is in `take_changes`. Errors: not_found (there is no document: no
  /// news, nothing is taken away because of it), too_large, perm, those of the source, cancelled.
  [[nodiscard]] virtual Result<Candidate> read(const std::stop_token& stop) = 0;

  /// The next read leaves nothing out that is usually asked for only now and then. Any thread.
  virtual void ask_for_all() {}

  /// What is believed of it; none: it needs no signature. Any thread.
  [[nodiscard]] virtual std::optional<TrustFacts> trust() const { return std::nullopt; }
};

}  // namespace holdfast::deploy::desired
