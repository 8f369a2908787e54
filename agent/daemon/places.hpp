#pragma once
/// \file
/// Who gets a place when connections are many. Pure.

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>

#include "agent/daemon/access.hpp"

namespace holdfast::agent::daemon {

/// What a connection is doing, in the order in which one loses less by giving its place up.
enum class Occupation : std::uint8_t {
  reading,    ///< its request has not arrived yet
  streaming,  ///< it follows events or a log
  writing,    ///< its answer is on the way
  working,    ///< its request is being worked on
};

struct Holder {
  uid_t uid = 0;
  Role role = Role::none;
  Occupation occupation = Occupation::reading;
  bool is_new = false;  ///< it has yet to have the time to ask: it does not give way
};

struct PlaceLimits {
  std::size_t all = 0;
  std::size_t of_one_user = 0;    ///< other than root
  std::size_t kept_for_root = 0;  ///< nobody else gets these
  std::size_t kept_for_each_role = 0;
  Occupation gives_way = Occupation::streaming;  ///< the last that does
};
inline constexpr PlaceLimits kApiPlaces{128, 32, 16, 8, Occupation::streaming};
/// Its connections are short and all alike: who does not read his answer is the one to go.
inline constexpr PlaceLimits kMetricsPlaces{48, 48, 0, 0, Occupation::writing};

struct Placement {
  bool admitted = false;
  std::optional<std::size_t> gives_way;  ///< index of the holder that goes first
};

/// Whether a newcomer gets a place among `holders` (oldest first), and who goes for it. Root finds
/// one however many others there are, and each role those that are kept for it. When all are taken,
/// the oldest of those gives way that have more than is kept for them: first who has not asked
/// anything yet, then who only listens.
[[nodiscard]] Placement place(std::span<const Holder> holders, const Holder& newcomer,
                              const PlaceLimits& limits);

}  // namespace holdfast::agent::daemon
