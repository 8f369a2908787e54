#pragma once
/// \file
/// Server-sent events: bytes in, events out (WHATWG HTML, 9.2.6).

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"

namespace holdfast::agent::cli {

struct ServerEvent {
  std::string id;
  std::string kind;  ///< "message" when the stream names none
  std::string data;
  bool operator==(const ServerEvent&) const = default;
};

/// Splits a byte stream into events, whatever the pieces it comes in. Comments (heartbeats) are
/// dropped.
class SseParser {
 public:
  /// Events completed by `piece`. Errors: too_large (a line or event beyond 4 MiB).
  [[nodiscard]] Result<std::vector<ServerEvent>> feed(std::string_view piece);

 private:
  void take_line(std::string_view line, std::vector<ServerEvent>& done);

  std::string line_;
  ServerEvent event_;
  std::string last_id_;
  bool has_data_ = false;
  bool after_cr_ = false;
};

/// Splits a byte stream into lines without their ends (NDJSON).
class LineParser {
 public:
  /// Errors: too_large (a line beyond 4 MiB).
  [[nodiscard]] Result<std::vector<std::string>> feed(std::string_view piece);
  /// What came after the last line end.
  [[nodiscard]] const std::string& rest() const { return line_; }

 private:
  std::string line_;
};

}  // namespace holdfast::agent::cli
