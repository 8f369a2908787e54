#include <array>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "agent/worker/unpack/inflate.hpp"

/// The decompressing front end: the first byte chooses gzip or zstd and the size of the pieces.
/// Whatever comes, a step uses and makes no more than it was given, and the stream ends.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast;
  using namespace holdfast::agent::worker::unpack;
  if (size == 0) return 0;
  const auto how =
      (data[0] & 1U) != 0 ? proto::oci::Compression::zstd : proto::oci::Compression::gzip;
  const std::size_t piece = 1U + (data[0] >> 1U) * 16U;
  const auto inflater = make_inflater(how);
  auto in = std::as_bytes(std::span{data + 1, size - 1});
  std::array<std::byte, 4096> out;
  std::size_t made = 0;
  constexpr std::size_t kEnough = 4U << 20;
  while (made < kEnough) {
    const auto part = in.first(std::min(piece, in.size()));
    const auto step = inflater->step(part, out);
    if (!step) return 0;
    if (step->used > part.size() || step->made > out.size()) std::abort();
    in = in.subspan(step->used);
    made += step->made;
    if (step->used == 0 && step->made == 0) break;
  }
  (void)inflater->finish();
  return 0;
}
