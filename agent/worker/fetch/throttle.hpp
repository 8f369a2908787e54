#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"

namespace holdfast::agent::worker::fetch {

/// Keeps all fetching children of a host together below a rate (proto/worker/fetch.hpp). Thread
/// safe.
class Throttle {
 public:
  /// `fd` is mapped; rate 0 limits nothing and needs no descriptor. Errors: by errno.
  [[nodiscard]] static Result<Throttle> open(int fd, std::uint64_t bytes_per_second,
                                             const Clock& clock);

  /// Waits until these bytes may have come.
  void take(std::size_t bytes);

 private:
  Throttle(std::atomic<std::int64_t>* taken_until, std::uint64_t rate, const Clock& clock)
      : taken_until_(taken_until), rate_(rate), clock_(clock) {}
  std::atomic<std::int64_t>* taken_until_;  ///< microseconds since boot; mapped for ever
  std::uint64_t rate_;
  const Clock& clock_;
};

}  // namespace holdfast::agent::worker::fetch
