#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "common/base/result.hpp"

namespace holdfast::agent::worker::unpack {

/// A stream read in place: look at what is there, then say how much of it was used. One reader
/// thread.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// The next bytes of the stream, at least one; empty at its end. Valid until `consume` or the
  /// next `peek`. Errors: those of whatever produces the stream.
  [[nodiscard]] virtual Result<std::span<const std::byte>> peek() = 0;
  /// Drops the first `count` bytes of what `peek` returned.
  virtual void consume(std::size_t count) = 0;
  /// Drops the next `count` bytes of the stream unread, where that can be done; false: it cannot.
  virtual bool skip(std::uint64_t /*count*/) { return false; }
};

}  // namespace holdfast::agent::worker::unpack
