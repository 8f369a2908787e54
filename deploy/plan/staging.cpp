// Staging: the images of a rollout are fetched, verified and unpacked; nothing runs yet.
#include "deploy/plan/staging.hpp"

#include <fmt/format.h>

#include "common/base/text.hpp"
#include "deploy/plan/admission/admission.hpp"
#include "deploy/plan/planner.hpp"
#include "proto/deployment/rules.hpp"

namespace holdfast::deploy::plan {

StagingFault staging_fault(Errc code) {
  switch (code) {
    case Errc::platform:            // its manifest has none for this host
    case Errc::media_type:          // an artifact, or no manifest at all
    case Errc::too_large:           // it declares more than is ever read
    case Errc::diffid_mismatch:     // a layer is not what its configuration says
    case Errc::digest_unsupported:  // it names a digest that nobody can check
    case Errc::policy:              // it is larger than max_size
      return StagingFault::document;
    default:
      return StagingFault::passing;
  }
}

namespace {

Failure document_fault(const ServiceName& name, const Error& error) {
  return {error.code(), name.str(), error.what(), {{"next", error.next_step()}}, false};
}

}  // namespace

bool is_final(const JobFailure& job) {
  constexpr std::uint32_t kTries = 3;
  return disposition(job.error.code()) == Disposition::reject || job.count >= kTries;
}

Failure start_failure(const ServiceName& name, const Error& error) {
  auto next = error.next_step();
  const bool of_host = error.code() == Errc::host;
  if (of_host && !next.empty()) next += ", then apply it again";
  return {error.code(), name.str(), error.what(), {{"next", std::move(next)}}, of_host};
}

bool gives_way(const Progress& progress) {
  return progress.rollout && !has_begun(progress) && progress.rollout->trigger != Trigger::rollback;
}

void Planner::stage() {
  const auto* target = document(rollout().target);
  if (target == nullptr)
    return fail({Errc::internal, {}, "the document is missing from the ledger", {}});
  // A way back is not closed by a rule that came later.
  const auto max_size = rollout().trigger == Trigger::rollback
                            ? std::nullopt
                            : stricter(settings_.images, target->image_policy).max_size;
  bool complete = true;
  std::set<proto::Digest> asked;
  for (const auto& [name, container] : proto::containers(*target)) {
    // A rollback runs no hooks of its target, so it needs none of their images.
    if (rollout().trigger == Trigger::rollback && !target->services.contains(name)) continue;
    const auto& image = container->image;
    const auto found = observed_.images.find(image.digest);
    const auto view = found == observed_.images.end() ? ImageView{} : found->second;
    if (view.state == ImageView::State::present) {
      const auto fits = proto::rules::check_image_size(image.str(), view.size, max_size);
      if (!fits) return fail(document_fault(name, fits.error()));
      continue;
    }
    complete = false;
    if (!asked.insert(image.digest).second) continue;
    if (auto failure = staging_failure(name, view)) return fail(*std::move(failure));
    if (view.state == ImageView::State::pulling) continue;
    if (view.retry_at > now_) {  // after a failure, or not yet: see Core::observe_images
      wake(view.retry_at);
      continue;
    }
    act(Pull{image, max_size});
  }
  if (complete) begin_or_wait();
}

/// Why the rollout fails over this image; none: it may still come.
std::optional<Failure> Planner::staging_failure(const ServiceName& name, const ImageView& view) {
  const auto passing = [&](Errc code, std::string what) {
    std::map<std::string, std::string> evidence;
    if (view.error) evidence["next"] = view.error->next_step();
    return Failure{code, name.str(), std::move(what), std::move(evidence), true};
  };
  const bool failed = view.state == ImageView::State::failed && view.error;
  if (failed && staging_fault(view.error->code()) == StagingFault::document)
    return document_fault(name, *view.error);
  if (rollout().trigger == Trigger::source || rollout().phase != Phase::staging)
    return std::nullopt;
  if (failed && view.attempts >= kApplyPullTries)
    return passing(view.error->code(), view.error->what());
  const BootTime deadline = rollout().since + kStagingDeadline;
  if (now_ >= deadline)
    return passing(Errc::timed_out, fmt::format("the image of {} was not here within {}{}",
                                                name.str(), human_duration(kStagingDeadline),
                                                view.error ? ": " + view.error->what() : ""));
  wake(deadline);
  return std::nullopt;
}

}  // namespace holdfast::deploy::plan
