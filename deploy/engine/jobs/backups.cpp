#include "deploy/engine/jobs/backups.hpp"

#include <utility>

#include "common/log/log.hpp"

namespace holdfast::deploy::engine {

void Backups::make() {
  if (!parts_.options.back_up || !parts_.journal.writable()) return;
  if (std::exchange(running_, true)) {
    again_ = true;
    return;
  }
  constexpr std::chrono::hours kEvery{1};
  next_ = parts_.ports.clock.boot() + kEvery;
  parts_.jobs.run(Jobs::Pool::pull, [this](const std::stop_token&) -> std::function<void()> {
    auto copy = parts_.options.back_up();
    return [this, copy] { made(copy); };
  });
}

void Backups::made(const Result<ledger::Head>& copy) {
  running_ = false;
  if (copy) {
    timestamp_ = epoch_seconds(parts_.ports.clock.wall());
    head_ = copy->number;
  } else {
    ++parts_.counters.backup_failures;
    log::warn("event=ledger_backup_failed error={}", log::field(copy.error().to_string()));
  }
  if (std::exchange(again_, false)) make();
}

void Backups::make_when_due() {
  if (parts_.ports.clock.boot() >= next_ && parts_.journal.head().number != head_) make();
}

}  // namespace holdfast::deploy::engine
