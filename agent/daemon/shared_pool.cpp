#include "agent/daemon/shared_pool.hpp"

#include <memory>

#include "agent/daemon/access.hpp"

namespace holdfast::agent::daemon {

Status SharedPool::start(const Request& request, Role role, os::JobPool::Job job) {
  std::shared_ptr<void> place;  // given back when the job has ended, or was dropped
  if (!request.peer || request.peer->uid != 0) {
    deploy::requests::Actor actor{actor_of(request), role};
    HF_TRY(others_.take(actor));
    place = {nullptr, [this, actor = std::move(actor)](void*) { others_.give_back(actor); }};
  }
  if (pool_.start([place = std::move(place), job = std::move(job)](const std::stop_token& stop) {
        job(stop);
      }))
    return ok();
  return Error{Errc::busy, "too many requests of this kind are under way"}.hint(
      "end one of them, or try again in a moment");
}

}  // namespace holdfast::agent::daemon
