#include "deploy/image/upkeep/job_queue.hpp"

#include <fmt/format.h>

namespace holdfast::deploy::image {

Result<JobQueue::Place> JobQueue::join(Lane lane, const std::string& operation,
                                       const Actor& actor) {
  auto& jobs = jobs_of(lane);
  if (auto place = places_[static_cast<std::size_t>(lane)].take(actor); !place)
    return Error{Errc::busy,
                 fmt::format("{}, the first is the {}", place.error().what(), jobs.front().words)}
        .hint("wait for them: holdfast events -f --kind image");
  Place place{.number = next_++, .waits_for = jobs.empty() ? std::string{} : jobs.front().words};
  jobs.push_back({fmt::format("{} of {}", operation, actor.name), actor});
  return place;
}

void JobQueue::leave(Lane lane) {
  auto& jobs = jobs_of(lane);
  places_[static_cast<std::size_t>(lane)].give_back(jobs.front().actor);
  jobs.pop_front();
}

}  // namespace holdfast::deploy::image
