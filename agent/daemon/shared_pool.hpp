#pragma once
#include <string>

#include "agent/daemon/access.hpp"
#include "agent/daemon/http.hpp"
#include "common/base/result.hpp"
#include "common/os/job_pool.hpp"
#include "deploy/requests/request_quota.hpp"

namespace holdfast::agent::daemon {

/// Threads for requests that block, of which no user takes all: root is not counted and always
/// finds room beside the others; everybody else may have so many at once. Thread safe.
class SharedPool {
 public:
  struct Bounds {
    os::JobPool::Bounds pool;
    deploy::requests::RequestQuota::Limits others;  ///< all of them fewer than the pool takes
  };
  /// `name` of the threads, at most 13 characters; `what` names the requests: "log readers".
  SharedPool(std::string name, std::string what, Bounds bounds)
      : others_(std::move(what), bounds.others), pool_(std::move(name), bounds.pool) {}

  /// Errors: busy, with the next step; then the job is dropped.
  [[nodiscard]] Status start(const Request& request, Role role, os::JobPool::Job job);
  void stop() { pool_.stop(); }

 private:
  deploy::requests::RequestQuota
      others_;  // jobs that are dropped at the end give their places back
  os::JobPool pool_;
};

}  // namespace holdfast::agent::daemon
