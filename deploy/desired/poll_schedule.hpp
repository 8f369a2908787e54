#pragma once
#include <cstdint>
#include <string_view>

#include "common/base/clock.hpp"

namespace holdfast::deploy::desired {

/// When a host asks a server that announces nothing. Pure. Each host has a phase of its own within
/// the interval, fixed by who it is, so that many hosts are spread evenly whenever they start and
/// whenever the server comes back.
class PollSchedule {
 public:
  /// `host` is anything that tells this host from others.
  PollSchedule(Milliseconds interval, std::string_view host);

  /// From `now` until the next poll: more than nothing, at most the interval. After failures in a
  /// row the interval doubles with each, to 15 minutes or the interval itself if that is longer.
  [[nodiscard]] Milliseconds until_next(WallTime now, unsigned failures) const;

 private:
  Milliseconds interval_;
  std::uint64_t host_;
};

}  // namespace holdfast::deploy::desired
