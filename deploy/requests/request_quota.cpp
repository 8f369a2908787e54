#include "deploy/requests/request_quota.hpp"

#include <fmt/format.h>

namespace holdfast::deploy::requests {

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

Status RequestQuota::take(const Actor& actor) {
  const std::lock_guard lock{mutex_};
  const auto found = taken_.find(actor.name);
  const std::size_t mine = found == taken_.end() ? 0 : found->second;
  const auto most =
      actor.is_root() && limits_.of_root != 0 ? limits_.of_root : limits_.of_one_actor;
  if (mine >= most || (!actor.is_root() && !has_room(actor.role)))
    return Error{Errc::busy, mine >= most
                                 ? fmt::format("{} {} of {} are under way", mine, what_, actor.name)
                                 : fmt::format("{} {} are under way", all_, what_)}
        .hint("try again in a moment");
  ++taken_[actor.name];
  if (actor.is_root()) return ok();
  ++all_;
  ++by_role_[static_cast<std::size_t>(actor.role)];
  return ok();
}

void RequestQuota::give_back(const Actor& actor) {
  const std::lock_guard lock{mutex_};
  const auto found = taken_.find(actor.name);
  if (found == taken_.end()) return;
  if (!actor.is_root()) {
    --all_;
    --by_role_[static_cast<std::size_t>(actor.role)];
  }
  if (--found->second == 0) taken_.erase(found);
}

}  // namespace holdfast::deploy::requests
