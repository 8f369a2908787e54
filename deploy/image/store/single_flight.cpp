#include "deploy/image/store/single_flight.hpp"

namespace holdfast::deploy::image {

Status SingleFlight::join(const std::string& key, const std::stop_token& stop,
                          const std::function<Status()>& work) {
  std::unique_lock lock{mutex_};
  for (;;) {
    const auto it = flying_.find(key);
    if (it == flying_.end()) break;
    const auto flight = it->second;
    if (!landed_.wait(lock, stop, [&] { return flight->outcome.has_value(); }))
      return Error{Errc::cancelled, "wait for another pull of the same object"};
    if (*flight->outcome || flight->outcome->error().code() != Errc::cancelled)
      return *flight->outcome;
  }
  const auto flight = std::make_shared<Flight>();
  flying_.emplace(key, flight);
  lock.unlock();
  Status outcome = work();
  lock.lock();
  flight->outcome = outcome;
  flying_.erase(key);
  landed_.notify_all();
  return outcome;
}

}  // namespace holdfast::deploy::image
