#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "proto/config/agent_config.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast::proto;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  const auto parsed = parse_agent_config(text, "fuzz");
  if (parsed.config.has_value() != parsed.errors.empty()) std::abort();
  (void)Subnet::parse(text);
  return 0;
}
