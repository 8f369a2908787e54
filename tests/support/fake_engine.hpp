#pragma once
/// \file
/// An engine that only remembers: for tests of what stands around it. Its ledger is real.

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "common/base/clock.hpp"
#include "deploy/engine/engine.hpp"
#include "deploy/ledger/ledger.hpp"

namespace holdfast::test {

/// Thread safe. Answers come from a thread of their own, like the real one's.
///
/// Documents it accepts must be valid; the one that runs is "unchanged". Two reasons ask for
/// something else: "be silent" is never answered, "start a rollout" leaves one under way until the
/// next apply.
class FakeEngine final : public deploy::engine::Engine {
 public:
  struct Options {
    Milliseconds ready_after{0};
    Milliseconds stop_takes{0};
    std::filesystem::path dead_if_exists;  ///< `alive` is false while this file is there
  };
  FakeEngine(deploy::ledger::Ledger& ledger, const Clock& clock, Options options);
  ~FakeEngine() override;

  void start() override;
  void stop() override;
  [[nodiscard]] std::shared_ptr<const deploy::engine::Snapshot> snapshot() const override;
  [[nodiscard]] deploy::engine::EventLog& events() override { return events_; }
  void apply(proto::api::ApplyRequest request, deploy::engine::Actor actor,
             deploy::engine::Reply<proto::api::Accepted> reply) override;
  void rollback(proto::api::RollbackRequest request, deploy::engine::Actor actor,
                deploy::engine::Reply<proto::api::Accepted> reply) override;
  void plan_apply(proto::api::ApplyRequest request, deploy::engine::Actor actor,
                  deploy::engine::Reply<proto::api::PlanReport> reply) override;
  void plan_rollback(proto::api::RollbackRequest request, deploy::engine::Actor actor,
                     deploy::engine::Reply<proto::api::PlanReport> reply) override;
  void hold(proto::api::HoldRequest request, deploy::engine::Actor actor,
            deploy::engine::Reply<proto::api::HoldStatus> reply) override;
  void resume(proto::api::ResumeRequest request, deploy::engine::Actor actor,
              deploy::engine::Reply<proto::api::Resumed> reply) override;
  void quarantine(proto::api::QuarantineRequest request, deploy::engine::Actor actor,
                  deploy::engine::Reply<proto::api::QuarantineItem> reply) override;
  void release(proto::api::ReleaseRequest request, deploy::engine::Actor actor,
               deploy::engine::Reply<proto::api::QuarantineItem> reply) override;
  void rehearse(proto::api::RehearseRequest request, deploy::engine::Actor actor,
                deploy::engine::Reply<proto::api::Accepted> reply) override;
  void stop_service(proto::api::ServiceStopRequest request, deploy::engine::Actor actor,
                    deploy::engine::Reply<proto::api::ServiceChange> reply) override;
  void start_service(proto::api::ServiceStartRequest request, deploy::engine::Actor actor,
                     deploy::engine::Reply<proto::api::ServiceChange> reply) override;
  void shutdown(proto::api::ShutdownRequest request, deploy::engine::Actor actor,
                deploy::engine::Reply<proto::api::ShutdownProgress> reply) override;
  void restart_service(proto::api::ServiceRestartRequest request, deploy::engine::Actor actor,
                       deploy::engine::Reply<proto::api::ServiceChange> reply) override;
  void record_exec(deploy::engine::ExecRecord record, deploy::engine::Actor actor,
                   deploy::engine::Reply<std::monostate> reply) override;
  void drop_standby(proto::api::StandbyDropRequest request, deploy::engine::Actor actor,
                    deploy::engine::Reply<proto::api::StandbyDropped> reply) override;
  void source_changed(deploy::engine::OfferedText offered) override;
  void source_refused(Error error, std::string source) override;
  void reconfigure(proto::LiveSettings settings) override;
  void images_changed(std::string collected, deploy::engine::Actor actor) override;
  [[nodiscard]] bool alive() const override;

 private:
  using Letter = std::function<void()>;
  void post(Letter letter);
  void publish(std::string kind, std::uint64_t generation, std::string message);
  [[nodiscard]] Result<proto::api::Accepted> accept(const proto::api::ApplyRequest& request,
                                                    const std::string& actor);
  void renew(const std::function<void(deploy::engine::Snapshot&)>& change);
  void renew_records(const std::function<void(deploy::engine::Records&)>& change);

  deploy::ledger::Ledger& ledger_;
  const Clock& clock_;
  const Options options_;
  deploy::engine::EventLog events_;
  std::shared_ptr<const deploy::engine::Snapshot> snapshot_;
  mutable std::mutex mutex_;
  std::condition_variable_any arrived_;
  std::vector<Letter> letters_;
  std::jthread thread_;
};

}  // namespace holdfast::test
