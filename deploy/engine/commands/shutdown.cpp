#include "deploy/engine/commands/shutdown.hpp"

#include <algorithm>
#include <chrono>

#include "common/base/text.hpp"
#include "common/log/log.hpp"

namespace holdfast::deploy::engine {
namespace {

constexpr std::chrono::seconds kWithin{600};
constexpr std::uint64_t kLongest = 86'400;  ///< seconds
/// Whoever takes the host down asks several times a second until all has ended; then the agent is
/// stopped.
constexpr std::chrono::minutes kForgotten{5};
/// A ledger that does not take the end of it is asked so often.
constexpr int kTries = 30;
constexpr std::chrono::seconds kBetweenTries{10};
constexpr const char* kGoesDown = "the host goes down";

}  // namespace

void Shutdown::resume() {
  const auto& recorded = parts_.journal.progress().shutdown;
  if (!recorded || recorded->boot_id != parts_.options.boot_id) return;
  parts_.observed.shutdown = recorded;
  asked_ = parts_.ports.clock.boot();
  log::warn("event=shutdown_resumed reason=\"{}\"", kGoesDown);
}

Result<proto::api::ShutdownProgress> Shutdown::ask(const proto::api::ShutdownRequest& request,
                                                   const Actor& actor) {
  if (request.within_seconds > kLongest)
    return Error{Errc::usage, "within_seconds is more than a day"}.hint("86400 at most");
  const auto now = parts_.ports.clock.boot();
  asked_ = now;
  refused_ = 0;
  const std::chrono::seconds within{request.within_seconds};
  if (auto& held = parts_.observed.shutdown) {
    const auto end = std::chrono::ceil<Milliseconds>(now - held->since) + within;
    if (within.count() != 0 && end < held->within) {  // the earlier end counts
      held->within = end;
      record({});
      parts_.attention.mark_changed();
    }
    return progress();
  }
  auto& journal = parts_.journal;
  parts_.observed.shutdown =
      plan::Shutdown{.boot_id = parts_.options.boot_id,
                     .within = within.count() == 0 ? kWithin : within,
                     .services = plan::to_start_again(journal.progress(), parts_.observed),
                     .since = now};
  const auto first = progress();
  log::warn("event=shutdown_started reason=\"{}\" actor={} services={} standby={}", kGoesDown,
            log::field(actor.name), first.running.size(), first.standby);
  record({.entries = {
              journal.entry(proto::EntryKind::stopped, actor, kGoesDown, journal.effective())}});
  parts_.attention.mark_changed();
  return first;
}

/// For an agent that is killed meanwhile. It happens all the same where the ledger takes nothing.
void Shutdown::record(ledger::Batch batch) {
  auto next = parts_.journal.progress();
  next.shutdown = parts_.observed.shutdown;
  if (auto done = parts_.journal.advance(std::move(next), std::move(batch)); !done)
    log::warn("event=shutdown_not_recorded error={}", log::field(done.error().to_string()));
}

void Shutdown::expire() {
  if (!parts_.observed.shutdown || parts_.ports.clock.boot() < asked_ + kForgotten) return;
  constexpr const char* kStays = "the host did not go down: what ran is started again";
  auto& journal = parts_.journal;
  auto note = journal.entry(proto::EntryKind::started, "agent", kStays, journal.effective());
  auto next = plan::call_off_shutdown(journal.progress(), parts_.observed);
  if (auto done = journal.advance(std::move(next), {.entries = {std::move(note)}}); !done) {
    log::warn("event=shutdown_not_recorded error={}", log::field(done.error().to_string()));
    // What is to be started again is in it, and of no use where it is forgotten.
    if (++refused_ <= kTries) {
      asked_ = parts_.ports.clock.boot() - kForgotten + kBetweenTries;
      return;
    }
  }
  refused_ = 0;
  log::warn("event=shutdown_called_off reason=\"{}\"", kStays);
  parts_.observed.shutdown.reset();
  parts_.attention.mark_changed();
}

proto::api::ShutdownProgress Shutdown::progress() const {
  proto::api::ShutdownProgress answer;
  for (const auto& name : plan::living(parts_.journal.progress(), parts_.observed))
    answer.running.push_back(name.str());
  const auto& instances = parts_.observed.instances;
  answer.standby = static_cast<std::uint64_t>(std::count_if(
      instances.begin(), instances.end(),
      [](const auto& row) { return row.second.seen.state == plan::InstanceState::frozen; }));
  answer.seconds =
      std::chrono::duration<double>(parts_.ports.clock.boot() - parts_.observed.shutdown->since)
          .count();
  return answer;
}

}  // namespace holdfast::deploy::engine
