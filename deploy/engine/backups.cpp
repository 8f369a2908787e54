// Copies of the ledger, and what the engine leaves alone when its ledger is older than what runs.
#include <algorithm>

#include "common/log/log.hpp"
#include "deploy/engine/core.hpp"

namespace holdfast::deploy::engine {
namespace {
constexpr std::chrono::hours kBackUpEvery{1};
}

void Core::back_up() {
  if (!options_.back_up || !ledger_ok_) return;
  if (std::exchange(backing_up_, true)) {
    back_up_again_ = true;
    return;
  }
  next_back_up_ = ports_.clock.boot() + kBackUpEvery;
  jobs_.run(Jobs::Pool::pull, [this](const std::stop_token&) -> std::function<void()> {
    auto made = options_.back_up();
    return [this, made] {
      backing_up_ = false;
      if (made) {
        figures_.backup_timestamp =
            std::chrono::duration<double>(ports_.clock.wall().time_since_epoch()).count();
        figures_.backup_head = made->number;
      } else {
        ++figures_.backup_failures;
        log::warn("event=ledger_backup_failed error={}", log::field(made.error().to_string()));
      }
      if (std::exchange(back_up_again_, false)) back_up();
    };
  });
}

/// The first one after the start, then when there is something new.
void Core::back_up_when_due() {
  if (ports_.clock.boot() >= next_back_up_ && head_.number != figures_.backup_head) back_up();
}

/// With a ledger that may be older than what runs, what serves might look like something left over,
/// and its traffic as if it went astray. Only what helps whatever is true is done: until an
/// operator asks for a rollback, which says what should run.
bool Core::is_harmless(const plan::Action& action) const {
  if (!ports_.ledger.stale()) return true;
  const auto serves = [&](const plan::ServiceName& service, const plan::InstanceId& id) {
    const auto found = progress_.serving.find(service);
    return found != progress_.serving.end() && found->second == id;
  };
  if (const auto* stop = std::get_if<plan::Stop>(&action)) return serves(stop->service, stop->id);
  if (std::holds_alternative<plan::Remove>(action)) return false;
  if (unrecorded_ || std::holds_alternative<plan::ProbeNow>(action) ||
      std::holds_alternative<plan::RestartProcess>(action))
    return true;
  if (std::holds_alternative<plan::Route>(action)) return !observed_.routing;
  const auto* create = std::get_if<plan::Create>(&action);
  return create != nullptr &&
         std::none_of(observed_.instances.begin(), observed_.instances.end(), [&](const auto& row) {
           return row.second.seen.service == create->service &&
                  row.second.seen.state == plan::InstanceState::running;
         });
}

}  // namespace holdfast::deploy::engine
