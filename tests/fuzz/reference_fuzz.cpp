#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "proto/digest.hpp"
#include "proto/image_ref.hpp"

/// What parses must print to text that parses to the same, and a digest must be safe as a file
/// name.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast::proto;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  if (const auto digest = Digest::parse(text)) {
    if (digest->str() != text || digest->hex().size() != 64) std::abort();
  }
  if (const auto ref = ImageRef::parse(text)) {
    const auto again = ImageRef::parse(ref->str());
    if (!again || *again != *ref) std::abort();
    if (ref->name().find("..") != std::string::npos) std::abort();
  }
  return 0;
}
