#include "deploy/image/upkeep/job_queue.hpp"

#include <fmt/format.h>

namespace holdfast::deploy::image {
namespace {

constexpr std::size_t kMostWaiting = 8;

}  // namespace

Result<JobQueue::Place> JobQueue::join(Lane lane, const std::string& operation,
                                       const std::string& actor) {
  auto& jobs = jobs_of(lane);
  if (jobs.size() > kMostWaiting)
    return Error{Errc::busy, fmt::format("{} jobs wait for the image store already, the first is "
                                         "the {}",
                                         jobs.size() - 1, jobs.front())}
        .hint("wait for them: holdfast events -f --kind image");
  Place place{.number = next_++, .waits_for = jobs.empty() ? std::string{} : jobs.front()};
  jobs.push_back(fmt::format("{} of {}", operation, actor));
  return place;
}

}  // namespace holdfast::deploy::image
