#include "deploy/engine/change_rate.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "deploy/engine/state/ports.hpp"

namespace holdfast::deploy::engine {

void ChangeRate::drain(Bucket& bucket, std::uint32_t per_minute, BootTime now) const {
  const std::chrono::duration<double, std::ratio<60>> minutes = now - bucket.at;
  bucket.used = std::max(0.0, bucket.used - minutes.count() * per_minute);
  bucket.at = now;
}

Status ChangeRate::take(const std::string& actor) {
  if (is_root(actor) || actor.starts_with("source ")) return ok();
  const std::lock_guard lock{mutex_};
  const auto now = clock_.boot();
  drain(all_, limits_.all, now);
  for (auto& [name, bucket] : actors_) drain(bucket, limits_.of_one_actor, now);
  std::erase_if(actors_, [](const auto& each) { return each.second.used <= 0; });
  auto& own = actors_.try_emplace(actor, Bucket{0, now}).first->second;
  const bool own_fault = own.used + 1 > limits_.of_one_actor;
  if (own_fault || all_.used + 1 > limits_.all)
    return Error{Errc::rate_limited,
                 own_fault ? fmt::format("{} has had {} changes recorded within a minute", actor,
                                         limits_.of_one_actor)
                           : fmt::format("{} changes were recorded within a minute", limits_.all)}
        .hint("wait some seconds; root is not counted");
  own.used += 1;
  all_.used += 1;
  return ok();
}

}  // namespace holdfast::deploy::engine
