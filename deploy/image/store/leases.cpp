#include "deploy/image/store/leases.hpp"

namespace holdfast::deploy::image {

void Leases::Lease::hold(const std::string& name) {
  const std::lock_guard lock{leases_.mutex_};
  ++leases_.counts_[name];
  held_.push_back(name);
}

Leases::Lease::~Lease() {
  const std::lock_guard lock{leases_.mutex_};
  for (const auto& name : held_) {
    const auto it = leases_.counts_.find(name);
    if (--it->second == 0) leases_.counts_.erase(it);
  }
}

void Leases::retain(std::set<std::string> names) {
  const std::lock_guard lock{mutex_};
  retained_ = std::move(names);
}

Status Leases::unless_held(const std::string& name, const std::function<Status()>& action) {
  const std::lock_guard lock{mutex_};
  if (counts_.contains(name) || retained_.contains(name)) return ok();
  return action();
}

}  // namespace holdfast::deploy::image
