#include "deploy/fetch/spare.hpp"

namespace holdfast::deploy::fetch {

void Spare::prepare() {
  // One that is being kept already will do.
  (void)keeper_.start([this](const std::stop_token& stop) { keep(stop); });
}

std::unique_ptr<Fetcher> Spare::take() {
  {
    const std::lock_guard lock{mutex_};
    if (waiting_) {
      taken_.notify_all();
      return std::move(waiting_);
    }
  }
  return std::make_unique<Fetcher>(program_);
}

void Spare::keep(const std::stop_token& stop) {
  auto child = std::make_unique<Fetcher>(program_);
  if (!child->start()) return;  // who asks for one will hear why
  std::unique_lock lock{mutex_};
  waiting_ = std::move(child);
  taken_.wait_for(lock, stop, patience_, [this] { return !waiting_; });
  child = std::move(waiting_);
  lock.unlock();  // ending it waits for its end
}

}  // namespace holdfast::deploy::fetch
