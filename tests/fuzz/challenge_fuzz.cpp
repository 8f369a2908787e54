#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "agent/worker/fetch/challenge.hpp"

/// WWW-Authenticate of a registry: names are lower case, nothing grows beyond its header, and the
/// choice is one of the two schemes that are answered.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast::agent::worker::fetch;
  const std::string_view header{reinterpret_cast<const char*>(data), size};
  const auto challenges = parse_challenges(header);
  std::size_t total = 0;
  const auto check_name = [](std::string_view name) {
    if (name.empty()) std::abort();
    for (const char c : name) {
      if (c >= 'A' && c <= 'Z') std::abort();
    }
  };
  for (const auto& challenge : challenges) {
    check_name(challenge.scheme);
    total += challenge.scheme.size();
    for (const auto& [name, value] : challenge.parameters) {
      check_name(name);
      total += name.size() + value.size();
    }
  }
  if (total > size) std::abort();
  const auto* chosen = preferred(challenges);
  if (chosen != nullptr && chosen->scheme != "bearer" && chosen->scheme != "basic") std::abort();
  return 0;
}
