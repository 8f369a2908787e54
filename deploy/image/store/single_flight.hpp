#pragma once
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "common/base/result.hpp"

namespace holdfast::deploy::image {

/// One piece of work a key at a time: who comes while it is under way waits for its outcome. Thread
/// safe. A leader that was cancelled leaves the work to the next in line.
class SingleFlight {
 public:
  /// Runs `work` unless another thread does so for the same key; then waits and returns that
  /// outcome. Errors: those of the work; cancelled when `stop` is requested while waiting.
  [[nodiscard]] Status join(const std::string& key, const std::stop_token& stop,
                            const std::function<Status()>& work);

 private:
  struct Flight {
    std::optional<Status> outcome;
  };
  std::mutex mutex_;
  std::condition_variable_any landed_;
  std::map<std::string, std::shared_ptr<Flight>> flying_;
};

}  // namespace holdfast::deploy::image
