#pragma once
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>

#include "agent/daemon/http.hpp"

namespace holdfast::agent::daemon {

/// Who may read the metrics over TCP where agent.yaml names a token (`metrics_token_file`). Thread
/// safe.
class ScrapeToken {
 public:
  /// Empty: whoever asks.
  explicit ScrapeToken(std::filesystem::path file) : file_(std::move(file)) {}

  [[nodiscard]] bool is_wanted() const { return !file_.empty(); }
  /// Reads the file, as often as a new token is to count; before the first time nobody may. Blocks.
  /// Errors: there is none that is good: others than root may have written the file or may read it,
  /// it is not there, or its token has less than 16 bytes.
  [[nodiscard]] Status refresh();
  /// None: this one may, by the field Authorization of the request. Else 401 (no token, or another
  /// one), or 503 where the last `refresh` failed. Reads no file. The time that it takes tells
  /// nothing of the token but its length.
  [[nodiscard]] std::optional<Response> refusal(
      const std::optional<std::string>& authorization) const;

 private:
  [[nodiscard]] Result<std::string> read() const;

  const std::filesystem::path file_;
  mutable std::mutex mutex_;
  std::string token_;  ///< empty: none that is good
};

}  // namespace holdfast::agent::daemon
