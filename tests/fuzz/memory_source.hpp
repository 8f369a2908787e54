#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "agent/worker/unpack/byte_source.hpp"

namespace holdfast::test {

/// Bytes in memory, shown in pieces of at most `piece`: where a stream is cut must not matter.
class MemorySource final : public agent::worker::unpack::ByteSource {
 public:
  MemorySource(std::span<const std::byte> bytes, std::size_t piece) : rest_(bytes), piece_(piece) {}

  Result<std::span<const std::byte>> peek() override {
    return rest_.first(std::min(piece_, rest_.size()));
  }
  void consume(std::size_t count) override { rest_ = rest_.subspan(count); }

 private:
  std::span<const std::byte> rest_;
  std::size_t piece_;
};

}  // namespace holdfast::test
