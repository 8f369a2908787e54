#pragma once
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "common/base/clock.hpp"
#include "common/os/job_pool.hpp"
#include "deploy/fetch/fetcher.hpp"

namespace holdfast::deploy::fetch {

/// One child that was started before it is needed: loading libcurl and what it brings takes several
/// milliseconds of a pull, and a deployment arrives a little earlier than its images are asked for.
/// It is given up when nobody takes it within its patience. Thread safe; destruction joins.
class Spare {
 public:
  explicit Spare(ChildProgram program, Milliseconds patience = std::chrono::seconds{10})
      : program_(std::move(program)), patience_(patience) {}

  /// Has a child started, if none waits already. Returns at once.
  void prepare();
  /// The child that waits or is just being started, else one that is not started yet. Never null.
  [[nodiscard]] std::unique_ptr<Fetcher> take();

 private:
  void keep(const std::stop_token& stop);

  ChildProgram program_;
  Milliseconds patience_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool starting_ = false;
  std::unique_ptr<Fetcher> waiting_;
  os::JobPool keeper_{"spare", {.threads = 1}};  ///< a thread while a child waits
};

}  // namespace holdfast::deploy::fetch
