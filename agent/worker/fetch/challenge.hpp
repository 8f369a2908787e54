#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::agent::worker::fetch {

/// One challenge of a WWW-Authenticate header (RFC 7235): scheme and parameter names in lower case,
/// values unquoted.
struct Challenge {
  std::string scheme;
  std::map<std::string, std::string> parameters;
  bool operator==(const Challenge&) const = default;
};

/// All challenges of one header value. What cannot be read ends the list; never fails. Linear in
/// the input.
[[nodiscard]] std::vector<Challenge> parse_challenges(std::string_view header);

/// The one to answer: Bearer before Basic, nothing else; null when there is none.
[[nodiscard]] const Challenge* preferred(const std::vector<Challenge>& challenges);

}  // namespace holdfast::agent::worker::fetch
