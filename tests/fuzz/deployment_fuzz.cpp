#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "proto/deployment/deployment.hpp"

/// Either errors or a deployment, never both; canonical text is a document with the same digest.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast::proto;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  const auto parsed = parse_deployment(text, "fuzz");
  if (parsed.deployment.has_value() != parsed.errors.empty()) std::abort();
  for (const auto& error : parsed.errors) {
    for (const char c : error.to_string()) {
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) std::abort();
    }
  }
  if (!parsed.deployment) return 0;
  (void)dependency_order(*parsed.deployment);
  const auto again = parse_deployment(parsed.deployment->canonical_json, "canonical");
  if (!again.deployment || again.deployment->canonical_json != parsed.deployment->canonical_json)
    std::abort();
  const auto changes =
      diff_documents(parsed.deployment->canonical_json, again.deployment->canonical_json);
  if (!changes || !changes->empty()) std::abort();
  return 0;
}
