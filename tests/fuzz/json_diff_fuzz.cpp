#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "proto/deployment/deployment.hpp"

/// Two JSON documents, separated by a NUL.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast::proto;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  const auto cut = text.find('\0');
  const auto before = text.substr(0, cut);
  const auto after = cut == std::string_view::npos ? before : text.substr(cut + 1);
  const auto changes = diff_documents(before, after);
  if (changes && cut == std::string_view::npos && !changes->empty()) std::abort();
  return 0;
}
