#include "agent/daemon/byte_budget.hpp"

#include <numeric>
#include <utility>

namespace holdfast::agent::daemon {

ByteBudget::Claim::Claim(ByteBudget& budget, uid_t uid, Role role)
    : budget_(budget), uid_(uid), role_(role) {}

bool ByteBudget::Claim::resize(std::size_t bytes) {
  if (uid_ == 0) return true;
  const std::lock_guard lock{budget_.mutex_};
  const auto wanted = bytes <= budget_.limits_.uncounted ? 0 : bytes;
  const auto known = budget_.by_user_.find(uid_);
  const auto others = known == budget_.by_user_.end() ? 0 : known->second - held_;
  if (wanted > held_) {
    const bool too_much = others > 0 && others + wanted > budget_.limits_.of_one_user;
    if (too_much) return false;
    if (!budget_.has_room(role_, wanted - held_)) {
      known_refusals_ = ++budget_.refusals_;  // it is not in its own way
      return false;
    }
  }
  if (others + wanted > 0)
    budget_.by_user_[uid_] = others + wanted;
  else
    budget_.by_user_.erase(uid_);
  auto& of_role = budget_.by_role_[static_cast<std::size_t>(role_)];
  of_role = of_role - held_ + wanted;
  held_ = wanted;
  return true;
}

bool ByteBudget::Claim::is_wanted() {
  const std::lock_guard lock{budget_.mutex_};
  const auto known = std::exchange(known_refusals_, budget_.refusals_);
  return held_ > 0 && known != budget_.refusals_;
}

std::size_t ByteBudget::held() const {
  const std::lock_guard lock{mutex_};
  return sum();
}

std::size_t ByteBudget::sum() const {
  return std::accumulate(by_role_.begin(), by_role_.end(), std::size_t{0});
}

std::size_t ByteBudget::kept_for(Role role) const {
  return role == Role::none || role == Role::root ? 0 : limits_.kept_for_each_role;
}

bool ByteBudget::has_room(Role role, std::size_t more) const {
  auto spoken_for = sum();
  for (std::size_t i = 0; i < by_role_.size(); ++i) {
    const auto other = static_cast<Role>(i);
    if (other != role && by_role_[i] < kept_for(other)) spoken_for += kept_for(other) - by_role_[i];
  }
  return spoken_for + more <= limits_.all;
}

}  // namespace holdfast::agent::daemon
