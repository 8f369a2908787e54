// Staging: the images of a rollout are fetched, verified and unpacked; nothing runs yet.
#include "deploy/plan/planner.hpp"

namespace holdfast::deploy::plan {
namespace {

/// A pull that somebody waits for gives up after so many tries; one from a source goes on for ever.
constexpr std::uint32_t kApplyPullTries = 4;

}  // namespace

void Planner::stage() {
  const auto* target = document(rollout().target);
  if (target == nullptr)
    return fail({Errc::internal, {}, "the document is missing from the ledger", {}});
  bool complete = true;
  std::set<proto::Digest> asked;
  for (const auto& [name, container] : proto::containers(*target)) {
    const auto& wanted = *container;
    // A rollback runs no hooks of its target, so it needs none of their images.
    if (rollout().trigger == Trigger::rollback && !target->services.contains(name)) continue;
    const auto found = observed_.images.find(wanted.image.digest);
    const auto view = found == observed_.images.end() ? ImageView{} : found->second;
    if (view.state == ImageView::State::present) continue;
    complete = false;
    if (view.state == ImageView::State::pulling || !asked.insert(wanted.image.digest).second)
      continue;
    if (view.state == ImageView::State::failed && view.error) {
      const bool hopeless = disposition(view.error->code()) == Disposition::reject;
      const bool given_up =
          rollout().trigger != Trigger::source && view.attempts >= kApplyPullTries;
      if (hopeless || given_up)
        return fail({view.error->code(),
                     name.str(),
                     view.error->what(),
                     {{"next", view.error->next_step()}}});
      if (view.retry_at > now_) {
        wake(view.retry_at);
        continue;
      }
    }
    if (view.retry_at > now_) {  // not yet: see Core::observe_images
      wake(view.retry_at);
      continue;
    }
    act(Pull{wanted.image});
  }
  if (complete) begin_or_wait();
}

}  // namespace holdfast::deploy::plan
