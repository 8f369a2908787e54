// The threads of the image store's jobs: what runs on them, and when. The jobs: jobs.cpp.
#include "deploy/image/upkeep/upkeep.hpp"

#include <fmt/format.h>

#include "common/base/text.hpp"
#include "common/log/log.hpp"
#include "deploy/image/upkeep/views.hpp"

namespace holdfast::deploy::image {

namespace api = proto::api;

Upkeep::Upkeep(Parts parts, proto::ScrubConfig scrub)
    : parts_(parts),
      scrubber_(parts.images, parts.care, scrub, sink()),
      schedule_(scrub.every, parts.clock.boot()) {}

Result<api::ImageJob> Upkeep::start(Lane lane, proto::Word<api::ImageOperation> operation,
                                    const Actor& actor, Work work) {
  const std::lock_guard lock{mutex_};
  HF_ASSIGN(auto place, queue_.join(lane, operation.str(), actor));
  if (scrub_ && operation != "pull") scrub_->request_stop();
  const Outcome outcome{.job = place.number, .operation = operation};
  auto& pool = lane == Lane::network ? fetches_ : work_;
  const bool started =
      pool.start([this, lane, outcome, work = std::move(work)](const std::stop_token& stop) {
        run(lane, outcome, work, stop);
      });
  if (!started) return Error{Errc::busy, "the agent is about to end"}.hint("start it again");
  log::info("event=image_job_started job={} operation={} actor={}", place.number, operation.text(),
            log::field(actor.name));
  return api::ImageJob{.job = place.number,
                       .operation = operation,
                       .waits_for = std::move(place.waits_for),
                       .since_event = 0};
}

void Upkeep::begin_to_fetch() {
  const std::lock_guard lock{mutex_};
  if (fetch_) fetch_->deadline = parts_.clock.boot() + kFetchDeadline;
}

/// Until its deadline, which `tick` watches.
Status Upkeep::fetch(const Work& work, Outcome& outcome, const std::stop_token& stop) {
  std::stop_source ours;
  {
    const std::lock_guard lock{mutex_};
    fetch_.emplace(Fetch{.deadline = BootTime::max(), .stop = ours});
  }
  const std::stop_callback outer{stop, [&] { ours.request_stop(); }};
  auto done = work(outcome, ours.get_token());
  const std::lock_guard lock{mutex_};
  const bool timed_out = fetch_->timed_out;
  fetch_.reset();
  if (done || !timed_out) return done;
  return Error{Errc::timed_out, fmt::format("the registry did not deliver within {}",
                                            human_duration(kFetchDeadline))}
      .hint("look at the way to it; another pull goes on where this one ended");
}

void Upkeep::run(Lane lane, Outcome outcome, const Work& work, const std::stop_token& stop) {
  const BootTime began = parts_.clock.boot();
  const auto done = lane == Lane::network ? fetch(work, outcome, stop) : work(outcome, stop);
  outcome.seconds = std::chrono::duration<double>(parts_.clock.boot() - began).count();
  if (!done)
    outcome.error = api::ErrorBody{std::string{code(done.error().code())}, done.error().what(),
                                   done.error().next_step()};
  log::info("event=image_job_ended job={} operation={} seconds={:.3f} bytes={} error={}",
            outcome.job, outcome.operation.text(), outcome.seconds, outcome.bytes,
            log::field(done ? std::string{} : done.error().to_string()));
  {
    const std::lock_guard lock{mutex_};
    queue_.leave(lane);
    ++figures_.jobs[{outcome.operation.str(), done ? "success" : "error"}];
  }
  parts_.listener.ended(outcome);
}

void Upkeep::tick() {
  const std::lock_guard lock{mutex_};
  if (fetch_ && parts_.clock.boot() >= fetch_->deadline && !fetch_->timed_out) {
    fetch_->timed_out = true;
    fetch_->stop.request_stop();
  }
  if (!queue_.empty(Lane::store) || scrub_ || !schedule_.due(parts_.clock.boot())) return;
  scrub_.emplace();
  if (!work_.start([this](const std::stop_token& stop) { scrub(stop); })) scrub_.reset();
}

void Upkeep::scrub(const std::stop_token& stop) {
  std::stop_source ours;
  {
    const std::lock_guard lock{mutex_};
    ours = *scrub_;
  }
  const std::stop_callback outer{stop, [&] { ours.request_stop(); }};
  const auto repaired = scrubber_.repair_known(parts_.listener.repairs(), ours.get_token());
  if (!repaired.images.empty()) parts_.listener.images_changed("", requests::Actor::agent());
  const auto hashed =
      scrubber_.hash_due_layers([this](const Verification& sum) { count(sum); }, ours.get_token());
  if (hashed.damaged_images > 0) parts_.listener.images_changed("", requests::Actor::agent());
  const std::lock_guard lock{mutex_};
  scrub_.reset();
  figures_.damaged_images += hashed.damaged_images;
  if (hashed.completed)
    figures_.scrub_completed =
        std::chrono::duration<double>(parts_.clock.wall().time_since_epoch()).count();
  schedule_.ended(
      {.found_damage = hashed.damaged_images > 0, .repaired = repaired.first_failure.has_value()},
      parts_.clock.boot());
}

Result<std::vector<api::ImageItem>> Upkeep::list() {
  HF_ASSIGN(const auto all, parts_.care.inventory());
  std::vector<api::ImageItem> items;
  for (const auto& info : all) items.push_back(item_of(info));
  return items;
}

Result<api::ImageGcReport> Upkeep::gc_plan() {
  HF_ASSIGN(const auto plan, parts_.care.plan_collection());
  auto report = report_of(plan);
  report.dry_run = true;
  return report;
}

UpkeepStats Upkeep::figures() const {
  const std::lock_guard lock{mutex_};
  return figures_;
}

void Upkeep::count(const Verification& sum) {
  const std::lock_guard lock{mutex_};
  figures_.verified_layers += sum.layers;
  figures_.verified_bytes += sum.bytes;
}

ProgressSink Upkeep::sink() {
  return [this](const PullProgress& progress) { parts_.listener.progress(progress); };
}

void Upkeep::stop() {
  fetches_.stop();
  work_.stop();
}

}  // namespace holdfast::deploy::image
