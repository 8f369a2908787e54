#pragma once
#include <functional>

#include "deploy/engine/state/parts.hpp"

namespace holdfast::deploy::engine {

/// Stops and removals. Each is tracked by its instance, in pools of their own, so that one that
/// takes its time holds up nothing that its service needs. Engine thread only.
class Endings {
 public:
  explicit Endings(Parts& parts) : parts_(parts) {}

  void stop(const plan::Stop& stop);
  void remove(const plan::Remove& remove);
  /// Forgets failures of instances that are gone.
  void keep_only(const std::map<plan::InstanceId, plan::InstanceView>& observed);

 private:
  struct Job {
    plan::InstanceId id;
    plan::ServiceName service;
    const char* what;
    Jobs::Pool pool;
  };
  /// What to do back on the engine thread; may be empty.
  using Done = Result<std::function<void()>>;

  void run(Job job, std::function<Done(const std::stop_token&)> work);
  void ended(const Job& job, const Done& done);
  void failed(const Job& job, const Error& error);
  void record_kill(const plan::Stop& stop);

  Parts& parts_;
};

}  // namespace holdfast::deploy::engine
