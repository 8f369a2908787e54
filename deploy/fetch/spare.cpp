#include "deploy/fetch/spare.hpp"

namespace holdfast::deploy::fetch {

void Spare::prepare() {
  const std::lock_guard lock{mutex_};
  if (starting_ || waiting_) return;
  // Refused while the last one is being given up; then a pull starts its own.
  starting_ = keeper_.start([this](const std::stop_token& stop) { keep(stop); });
}

std::unique_ptr<Fetcher> Spare::take() {
  std::unique_lock lock{mutex_};
  // Waiting for it takes no longer than starting another, which would leave this one over.
  changed_.wait(lock, [this] { return !starting_; });
  if (!waiting_) return std::make_unique<Fetcher>(program_);
  auto taken = std::move(waiting_);
  changed_.notify_all();
  return taken;
}

void Spare::keep(const std::stop_token& stop) {
  auto child = std::make_unique<Fetcher>(program_);
  const auto started = child->start();  // who asks for one will hear why it failed
  std::unique_lock lock{mutex_};
  starting_ = false;
  if (started) waiting_ = std::move(child);
  changed_.notify_all();
  changed_.wait_for(lock, stop, patience_, [this] { return !waiting_; });
  child = std::move(waiting_);
  lock.unlock();  // ending it waits for its end
}

}  // namespace holdfast::deploy::fetch
