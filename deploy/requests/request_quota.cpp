#include "deploy/engine/request_quota.hpp"

#include <fmt/format.h>

#include "deploy/engine/state/ports.hpp"

namespace holdfast::deploy::engine {

/// Beside what others of its role find and those of other roles are to find.
bool RequestQuota::has_room(Role role) const {
  auto spoken_for = all_;
  for (const auto other : {Role::observe, Role::rollback, Role::deploy}) {
    const auto taken = by_role_[static_cast<std::size_t>(other)];
    if (other != role && taken < limits_.kept_for_each_role)
      spoken_for += limits_.kept_for_each_role - taken;
  }
  return spoken_for < limits_.all;
}

Status RequestQuota::take(const std::string& actor, Role role) {
  const std::lock_guard lock{mutex_};
  const auto found = taken_.find(actor);
  const std::size_t mine = found == taken_.end() ? 0 : found->second;
  if (mine >= limits_.of_one_actor || (!is_root(actor) && !has_room(role)))
    return Error{Errc::busy, mine >= limits_.of_one_actor
                                 ? fmt::format("{} {} of {} are under way", mine, what_, actor)
                                 : fmt::format("{} {} are under way", all_, what_)}
        .hint("try again in a moment");
  ++taken_[actor];
  if (is_root(actor)) return ok();
  ++all_;
  ++by_role_[static_cast<std::size_t>(role)];
  return ok();
}

void RequestQuota::give_back(const std::string& actor, Role role) {
  const std::lock_guard lock{mutex_};
  const auto found = taken_.find(actor);
  if (found == taken_.end()) return;
  if (!is_root(actor)) {
    --all_;
    --by_role_[static_cast<std::size_t>(role)];
  }
  if (--found->second == 0) taken_.erase(found);
}

}  // namespace holdfast::deploy::engine
