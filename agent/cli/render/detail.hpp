#pragma once
/// \file
/// What the `detail` of events holds beyond the messages of proto/api. Lenient: what is missing
/// stays empty.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast::agent::cli {

/// Of a `pull` event.
struct PullDetail {
  std::string image;  ///< as in the document
  std::string layer;  ///< short digest; empty: the image as a whole
  std::string phase;  ///< resolving | downloading | unpacking | done | verifying | exporting
  std::uint64_t bytes = 0;
  std::uint64_t total = 0;
  std::uint64_t rate = 0;  ///< bytes a second; 0: not known
  std::optional<std::uint64_t> seconds_left;
};
[[nodiscard]] PullDetail decode_pull(std::string_view detail);

/// Of a `result` event that is not good: what proves the failure.
struct Evidence {
  std::vector<std::pair<std::string, std::string>> facts;  ///< "probe" → "GET :8080/healthz → 500"
  std::vector<std::string> log;                            ///< last lines of the failing instance
};
[[nodiscard]] Evidence decode_evidence(std::string_view detail);

}  // namespace holdfast::agent::cli
