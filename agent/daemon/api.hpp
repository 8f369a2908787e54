#pragma once
#include <functional>
#include <memory>
#include <string>

#include "agent/daemon/access.hpp"
#include "agent/daemon/http.hpp"
#include "common/os/job_pool.hpp"
#include "deploy/engine/engine.hpp"
#include "deploy/image/upkeep/upkeep.hpp"
#include "deploy/ledger/recover.hpp"
#include "deploy/runtime/logs/log_reader.hpp"

namespace holdfast::agent::daemon {

using LogRead = std::function<Status(const deploy::runtime::LogQuery&,
                                     const deploy::runtime::LogSink&, const std::stop_token&)>;
using PlanRecovery = std::function<Result<proto::api::LedgerRecovery>()>;
using OpenReader = std::function<Result<std::unique_ptr<deploy::ledger::Reader>>()>;

/// What the routes work with. All outlive the Api.
struct ApiParts {
  deploy::engine::Engine& engine;
  deploy::image::Upkeep& images;
  OpenReader open_reader;  ///< a connection of its own for each ledger request
  LogRead read_logs;
  std::function<std::string()> metrics;  ///< called on the io thread
  PlanRecovery plan_recovery;
  /// Notes the wish and begins the program anew, which carries it out. From any thread.
  std::function<Status(const deploy::ledger::RecoveryWish&)> recover;
};

/// The routes of proto/openapi.yaml. Lives on the io thread; what blocks runs on a few job threads.
class Api {
 public:
  Api(ApiParts parts, Access access);
  ~Api();

  void handle(const ExchangePtr& exchange);
  /// After a reload of the configuration.
  void set_access(Access access) { access_ = std::move(access); }
  [[nodiscard]] Role role_of(const Peer& peer) const { return access_.role_of(peer); }
  /// Ends followed logs and ledger reads; joins.
  void stop();

 private:
  struct Call;
  struct Route;
  static const std::vector<Route>& routes();

  void status(const Call& call);
  void history(const Call& call);
  void generation(const Call& call);
  void drift(const Call& call);
  void plan(const Call& call);
  void apply(const Call& call);
  void rollback(const Call& call);
  void hold(const Call& call);
  void resume(const Call& call);
  void quarantine(const Call& call);
  void quarantine_add(const Call& call);
  void quarantine_release(const Call& call);
  void rehearse(const Call& call);
  void standby_drop(const Call& call);
  void events(const Call& call);
  void ledger_entries(const Call& call);
  void ledger_head(const Call& call);
  void ledger_verify(const Call& call);
  void ledger_recover(const Call& call);
  void logs(const Call& call);
  void images(const Call& call);
  void image_pull(const Call& call);
  void image_verify(const Call& call);
  void image_gc(const Call& call);
  void image_export(const Call& call);
  void image_import(const Call& call);
  void version(const Call& call);
  void metrics(const Call& call);
  void healthz(const Call& call);
  void readyz(const Call& call);

  using LedgerWork = std::function<Result<std::string>(deploy::ledger::Reader&)>;
  void with_ledger(const Call& call, LedgerWork work);

  ApiParts parts_;
  Access access_;
  /// Begins a job on the image store, and answers with it.
  template <class Begin>
  void image_job(const Call& call, Begin begin);
  /// Asks the disk, on a thread that may wait for it.
  template <class T>
  void look_at_images(const Call& call, Result<T> (deploy::image::Upkeep::*question)());

  os::JobPool image_looks_{"image-look", {.threads = 1, .waiting = 16}};
  os::JobPool ledger_jobs_{"ledger-read", {.threads = 2, .waiting = 32}};
  os::JobPool log_jobs_{"log-read", {.threads = 8}};
};

}  // namespace holdfast::agent::daemon
