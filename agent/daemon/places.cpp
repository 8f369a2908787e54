#include "agent/daemon/places.hpp"

#include <algorithm>
#include <array>

namespace holdfast::agent::daemon {
namespace {

/// none, observe, rollback, deploy, root.
constexpr std::size_t kRanks = 5;
using Counts = std::array<std::size_t, kRanks>;

std::size_t rank_of(const Holder& holder) {
  return holder.uid == 0 ? kRanks - 1 : static_cast<std::size_t>(holder.role);
}

std::size_t kept_for(std::size_t rank, const PlaceLimits& limits) {
  if (rank == kRanks - 1) return limits.kept_for_root;
  return rank == 0 ? 0 : limits.kept_for_each_role;
}

/// The oldest of those that `may` go, who loses least.
template <class F>
std::optional<std::size_t> who_goes(std::span<const Holder> holders, const PlaceLimits& limits,
                                    F may) {
  std::optional<std::size_t> chosen;
  for (std::size_t i = 0; i < holders.size(); ++i) {
    if (holders[i].is_new || holders[i].occupation > limits.gives_way || !may(holders[i])) continue;
    if (!chosen || holders[i].occupation < holders[*chosen].occupation) chosen = i;
  }
  return chosen;
}

Placement instead_of(std::optional<std::size_t> who) { return {who.has_value(), who}; }

}  // namespace

Placement place(std::span<const Holder> holders, const Holder& newcomer,
                const PlaceLimits& limits) {
  Counts taken{};
  std::size_t of_user = 0;
  for (const auto& holder : holders) {
    ++taken[rank_of(holder)];
    if (holder.uid == newcomer.uid) ++of_user;
  }
  if (newcomer.uid != 0 && of_user >= limits.of_one_user)
    return instead_of(who_goes(holders, limits,
                               [&](const Holder& holder) { return holder.uid == newcomer.uid; }));
  const auto rank = rank_of(newcomer);
  std::size_t spoken_for = holders.size();
  for (std::size_t other = 0; other < kRanks; ++other) {
    const auto kept = kept_for(other, limits);
    if (other != rank && taken[other] < kept) spoken_for += kept - taken[other];
  }
  if (spoken_for < limits.all) return {true, std::nullopt};
  return instead_of(who_goes(holders, limits, [&](const Holder& holder) {
    const auto theirs = rank_of(holder);
    return theirs <= rank && (theirs == rank || taken[theirs] > kept_for(theirs, limits));
  }));
}

}  // namespace holdfast::agent::daemon
