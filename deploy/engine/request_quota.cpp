#include "deploy/engine/request_quota.hpp"

#include <fmt/format.h>

namespace holdfast::deploy::engine {
namespace {

/// "root (uid 0)", as the API names who asks.
bool is_root(std::string_view actor) { return actor.ends_with(" (uid 0)"); }

}  // namespace

Status RequestQuota::take(const std::string& actor) {
  const std::lock_guard lock{mutex_};
  const auto found = taken_.find(actor);
  const std::size_t mine = found == taken_.end() ? 0 : found->second;
  if (mine >= limits_.of_one_actor || (!is_root(actor) && all_ >= limits_.all))
    return Error{Errc::busy, mine >= limits_.of_one_actor
                                 ? fmt::format("{} {} of {} are under way", mine, what_, actor)
                                 : fmt::format("{} {} are under way", all_, what_)}
        .hint("try again in a moment");
  ++taken_[actor];
  if (!is_root(actor)) ++all_;
  return ok();
}

void RequestQuota::give_back(const std::string& actor) {
  const std::lock_guard lock{mutex_};
  const auto found = taken_.find(actor);
  if (found == taken_.end()) return;
  if (!is_root(actor)) --all_;
  if (--found->second == 0) taken_.erase(found);
}

}  // namespace holdfast::deploy::engine
