#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "proto/trust/envelope.hpp"

/// What is read is within its bounds, and written again it reads the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast::proto::trust;
  const auto envelope = read_envelope({reinterpret_cast<const char*>(data), size});
  if (!envelope) return 0;
  if (envelope->signatures.empty() || envelope->signatures.size() > kMostSignatures) std::abort();
  if (envelope->payload.size() > kMostPayloadBytes) std::abort();
  const auto again = read_envelope(write_envelope(*envelope));
  if (!again || *again != *envelope) std::abort();
  return 0;
}
