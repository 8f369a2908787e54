#include "agent/worker/unpack/crc64.hpp"

#ifdef HOLDFAST_ISAL
#include <isa-l/crc64.h>
#endif

#include <array>

#include "common/os/processor.hpp"

namespace holdfast::agent::worker::unpack {
namespace {

constexpr std::array<std::uint64_t, 256> make_table() {
  std::array<std::uint64_t, 256> table{};
  for (std::uint64_t byte = 0; byte < table.size(); ++byte) {
    std::uint64_t sum = byte;
    for (int bit = 0; bit < 8; ++bit) sum = (sum >> 1U) ^ ((sum & 1U) != 0 ? kCrc64Polynomial : 0);
    table[byte] = sum;
  }
  return table;
}
constexpr auto kTable = make_table();

}  // namespace

std::uint64_t crc64_by_table(std::uint64_t before, std::span<const std::byte> data) {
  std::uint64_t sum = ~before;
  for (const auto each : data)
    sum = kTable[(sum ^ static_cast<std::uint64_t>(each)) & 0xFFU] ^ (sum >> 8U);
  return ~sum;
}

std::uint64_t crc64(std::uint64_t before, std::span<const std::byte> data) {
#ifdef HOLDFAST_ISAL
  static const bool kFast = os::has_carryless_multiply();
  if (kFast)
    return crc64_ecma_refl(before, reinterpret_cast<const unsigned char*>(data.data()),
                           data.size());
#endif
  return crc64_by_table(before, data);
}

}  // namespace holdfast::agent::worker::unpack
