#pragma once
#include <algorithm>
#include <cstdint>

#include "proto/worker/unpack.hpp"

namespace holdfast::deploy::image {

/// What unpacking one layer may cost, besides bytes (packaging/doc/security.md 2.4).
struct LayerBounds {
  std::uint64_t entries = 0;
  std::uint64_t cpu_seconds = 0;  ///< of all threads of the child together
};

/// By the compressed size, in bytes. `free_entries`: besides what the size accounts for. Pure.
///
/// A layer of 420 kB took all inodes of a disk. Real layers have an entry for a kilobyte of
/// compressed bytes and more; the smallest that differ from each other cost some 30. A slow board
/// unpacks 2 MiB of compressed bytes in a second of its processor, a common one thirty: what takes
/// eight times as long as on the slow one is made to take long.
[[nodiscard]] constexpr LayerBounds bounds_of(std::uint64_t compressed,
                                              std::uint64_t free_entries) {
  constexpr std::uint64_t kMostEntries = 1'000'000;
  constexpr std::uint64_t kBytesPerEntry = 16;
  constexpr std::uint64_t kFreeSeconds = 60;
  constexpr std::uint64_t kBytesPerSecond = 256U << 10;
  return {.entries = std::min(kMostEntries, free_entries + compressed / kBytesPerEntry),
          .cpu_seconds = std::min(proto::worker::kMostCpuSeconds,
                                  kFreeSeconds + compressed / kBytesPerSecond)};
}

}  // namespace holdfast::deploy::image
