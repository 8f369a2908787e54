#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "agent/daemon/http.hpp"

namespace holdfast::agent::daemon {

/// Who may read the metrics over TCP where agent.yaml names a token (`metrics_token_file`).
class ScrapeToken {
 public:
  /// Empty: whoever asks.
  explicit ScrapeToken(std::filesystem::path file = {}) : file_(std::move(file)) {}

  /// None: this one may, by the field Authorization of the request. Else 401 (no token, or another
  /// one), or 503 where there is none to compare with: it cannot be read, has less than 16 bytes,
  /// or others than root may read or change the file. Reads it each time, so a new token counts at
  /// once. The time that it takes tells nothing of the token but its length. Thread safe.
  [[nodiscard]] std::optional<Response> refusal(
      const std::optional<std::string>& authorization) const;
  /// Whether there is one to compare with, where there has to be. Errors: why not.
  [[nodiscard]] Status check() const;

 private:
  [[nodiscard]] Result<std::string> token() const;

  std::filesystem::path file_;
};

}  // namespace holdfast::agent::daemon
