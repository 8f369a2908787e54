#pragma once
/// \file
/// The port behind which signed bytes come from: a file, or a server. Nothing that comes through it
/// is believed.

#include <cstdint>
#include <stop_token>
#include <string>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"

namespace holdfast::deploy::desired {

enum class Freshness : std::uint8_t {
  any,         ///< the bytes, whatever came before
  if_changed,  ///< perhaps only the word that they are those of the last answer
};

struct SignedBytes {
  bool unchanged = false;  ///< as in the last answer; `text` is empty
  std::string text;
};

/// Where envelopes come from. Calls come from one thread at a time and block; they honour `stop`
/// within a second.
class SignedOrigin {
 public:
  virtual ~SignedOrigin() = default;
  [[nodiscard]] virtual const std::string& name() const = 0;
  /// As of `Source`.
  [[nodiscard]] virtual int fd() const = 0;
  [[nodiscard]] virtual bool take_changes() = 0;

  /// The signed document. Errors: not_found, too_large, those of the place, cancelled.
  [[nodiscard]] virtual Result<SignedBytes> document(Freshness freshness,
                                                     const std::stop_token& stop) = 0;
  /// The root of trust of this version, which lies beside the document as "<version>.root.json".
  /// Errors: not_found, when there is none; as of `document`.
  [[nodiscard]] virtual Result<std::string> root(std::uint64_t version,
                                                 const std::stop_token& stop) = 0;
};

}  // namespace holdfast::deploy::desired
