#include "deploy/engine/jobs/pulls.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "common/log/log.hpp"
#include "deploy/engine/jobs/pull_event.hpp"

namespace holdfast::deploy::engine {

using State = plan::ImageView::State;

Milliseconds retry_delay(std::uint32_t attempts) {
  return Milliseconds{std::min<std::int64_t>(1'000LL << std::min(attempts, 6U), 60'000)};
}

void Pulls::observe() {
  end_unwanted();
  for (const auto& [id, known] : parts_.observed.documents) {
    for (const auto& [name, service] : proto::containers(*known)) {
      const auto& digest = service->image.digest;
      if (parts_.observed.images.contains(digest)) continue;
      plan::ImageView view;
      if (auto found = parts_.ports.images.look(digest)) {
        view.state = State::present;
        view.manifest = found->manifest;
        view.size = found->compressed_size;
      } else if (found.error().code() == Errc::layer_corrupt) {
        view.error = found.error();
      }
      if (view.state == State::missing) view.retry_at = not_before(digest);
      parts_.observed.images.emplace(digest, std::move(view));
    }
  }
}

void Pulls::look_again() {
  std::erase_if(parts_.observed.images, [](const auto& row) {
    return row.second.state == State::present ||
           (row.second.state == State::missing && row.second.retry_at == BootTime{});
  });
}

/// Hosts with one source do not ask its registry all at once: each waits a time of its own, by the
/// digest and by how long it runs.
BootTime Pulls::not_before(const proto::Digest& digest) const {
  const auto limit = static_cast<std::uint64_t>(parts_.options.config.pull_jitter.count());
  const auto& rollout = parts_.journal.progress().rollout;
  if (limit == 0 || !rollout || rollout->trigger != plan::Trigger::source) return {};
  const auto now = parts_.ports.clock.boot();
  const auto lot =
      std::hash<std::string>{}(digest.hex() + std::to_string(now.time_since_epoch().count()));
  return now + Milliseconds{lot % limit};
}

void Pulls::end_unwanted() {
  std::set<proto::Digest> wanted;
  for (const auto& [id, known] : parts_.observed.documents) {
    for (const auto& [name, service] : proto::containers(*known))
      wanted.insert(service->image.digest);
  }
  for (auto& [digest, end] : running_) {
    if (!wanted.contains(digest)) end.request_stop();
  }
}

void Pulls::start(const plan::Pull& pull) {
  auto& view = parts_.observed.images[pull.image.digest];
  if (view.state == State::pulling) return;
  view.state = State::pulling;
  log::info("event=pull_started image={}", pull.image.str());
  parts_.jobs.run(Jobs::Pool::pull,
                  [this, wanted = image::Wanted{pull.image, pull.max_size},
                   end = running_[pull.image.digest] = std::stop_source{}](
                      const std::stop_token& stop) mutable -> std::function<void()> {
                    const std::stop_callback with_pool{stop, [&end] { end.request_stop(); }};
                    auto pulled = parts_.ports.images.ensure(
                        wanted,
                        [this](const image::PullProgress& p) {
                          parts_.events.publish(pull_event(p, parts_.ports.clock.wall()));
                        },
                        end.get_token());
                    return [this, ref = wanted.ref, pulled] { finished(ref, pulled); };
                  });
}

void Pulls::finished(const proto::ImageRef& ref, const Result<image::Pulled>& pulled) {
  running_.erase(ref.digest);
  parts_.attention.mark_changed();
  if (!pulled) return failed(ref, pulled.error());
  const auto& stats = pulled->stats;
  parts_.observed.images[ref.digest] = {.state = State::present,
                                        .manifest = pulled->image.manifest,
                                        .size = pulled->image.compressed_size,
                                        .error = {},
                                        .retry_at = {},
                                        .attempts = 0};
  ++parts_.counters.pulls["success"];
  parts_.counters.pull_bytes += stats.bytes_fetched;
  parts_.counters.pull_seconds.observe(std::chrono::duration<double>(stats.duration).count());
  log::info("event=pull_finished image={} bytes={} layers_fetched={} layers_local={} ms={}",
            ref.str(), stats.bytes_fetched, stats.layers_fetched, stats.layers_local,
            stats.duration.count());
}

void Pulls::failed(const proto::ImageRef& ref, const Error& error) {
  auto& known = parts_.observed.images[ref.digest];
  known.state = State::failed;
  if (error.code() == Errc::cancelled) return;
  known.error = error;
  known.retry_at = parts_.ports.clock.boot() + retry_delay(known.attempts++);
  ++parts_.counters.pulls["error"];
  parts_.counters.count(error);
  log::warn("event=pull_failed image={} attempt={} error={}", ref.str(), known.attempts,
            log::field(error.to_string()));
  proto::api::Event event;
  event.time = to_rfc3339(parts_.ports.clock.wall());
  event.kind = "pull";
  event.message = fmt::format("pull {} failed: {}", ref.str(), error.to_string());
  parts_.events.publish(std::move(event));
}

}  // namespace holdfast::deploy::engine
