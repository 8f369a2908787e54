#include "deploy/requests/change_rate.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace holdfast::deploy::requests {

void ChangeRate::drain(Bucket& bucket, std::uint32_t per_minute, BootTime now) const {
  const std::chrono::duration<double, std::ratio<60>> minutes = now - bucket.at;
  bucket.used = std::max(0.0, bucket.used - minutes.count() * per_minute);
  bucket.at = now;
}

Status ChangeRate::take(const Actor& actor) {
  if (actor.role == Actor::Role::root || actor.role == Actor::Role::none) return ok();
  const std::lock_guard lock{mutex_};
  const auto now = clock_.boot();
  auto& all = roles_.try_emplace(actor.role, Bucket{0, now}).first->second;
  drain(all, limits_.of_a_role, now);
  for (auto& [name, bucket] : actors_) drain(bucket, limits_.of_one_actor, now);
  std::erase_if(actors_, [](const auto& each) { return each.second.used <= 0; });
  auto& own = actors_.try_emplace(actor.name, Bucket{0, now}).first->second;
  const bool own_fault = own.used + 1 > limits_.of_one_actor;
  if (own_fault || all.used + 1 > limits_.of_a_role)
    return Error{Errc::rate_limited,
                 own_fault ? fmt::format("{} has had {} changes recorded within a minute",
                                         actor.name, limits_.of_one_actor)
                           : fmt::format("{} changes of the role {} were recorded within a minute",
                                         limits_.of_a_role, to_string(actor.role))}
        .hint("wait some seconds; root is not counted");
  own.used += 1;
  all.used += 1;
  return ok();
}

}  // namespace holdfast::deploy::requests
