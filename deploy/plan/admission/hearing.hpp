#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "common/base/result.hpp"
#include "deploy/plan/model/state.hpp"

namespace holdfast::deploy::plan {

/// What a source says now, and what is known of it from before.
struct Hearing {
  HeardSerial word{};                   ///< serial 0: it is not signed
  std::optional<HeardSerial> before{};  ///< Progress::heard
  bool accepted_last = false;           ///< this document is the one accepted from it last
  bool displaced = false;               ///< what runs was accepted from somebody else since
};

enum class Heard : std::uint8_t {
  older,      ///< below a serial that took its effect: refused
  known,      ///< nothing is to be done: an operator's apply since then stays
  refreshed,  ///< the same content, signed anew: noted, and nothing runs otherwise
  wanted,     ///< to be applied: other content, or signed anew because something else runs
};

/// Whether a signed word is above what this source was heard to say. What is not signed always is.
[[nodiscard]] bool is_news(const HeardSerial& word, const std::optional<HeardSerial>& before);
/// Pure (packaging/doc/signing.md: serials only grow).
[[nodiscard]] Heard hear(const Hearing& hearing);
/// What is said where it is `Heard::older`.
[[nodiscard]] Error older_error(const HeardSerial& word, std::uint64_t heard);

}  // namespace holdfast::deploy::plan
