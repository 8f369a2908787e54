#pragma once
#include <functional>
#include <memory>
#include <string>

#include "agent/daemon/access.hpp"
#include "agent/daemon/api_call.hpp"
#include "agent/daemon/http.hpp"
#include "agent/daemon/scrape_token.hpp"
#include "agent/daemon/shared_pool.hpp"
#include "common/os/fair_mutex.hpp"
#include "common/os/job_pool.hpp"
#include "deploy/engine/engine.hpp"
#include "deploy/image/upkeep/upkeep.hpp"
#include "deploy/ledger/recover.hpp"
#include "deploy/runtime/logs/log_reader.hpp"

namespace holdfast::agent::daemon {

using LogRead = std::function<Status(const deploy::runtime::LogQuery&,
                                     const deploy::runtime::LogSink&, const std::stop_token&)>;
using PlanRecovery = std::function<Result<proto::api::LedgerRecovery>()>;
/// Calls what it is given with a reader of the ledger. Errors: there is none.
using ReadLedger = std::function<Status(const std::function<void(deploy::ledger::Reader&)>&)>;

/// A command that may begin in an instance; carries it until it ends.
class ExecRun {
 public:
  virtual ~ExecRun() = default;
  /// By which its entries of the ledger are told as one.
  [[nodiscard]] virtual std::string number() const = 0;
  /// Blocks until its end, of which the client is told.
  [[nodiscard]] virtual proto::api::ExecEnd run(os::UniqueFd client,
                                                const std::stop_token& stop) = 0;
};
/// Of a request that is checked and names its instance. Errors: why it cannot begin.
using PrepareExec = std::function<Result<std::unique_ptr<ExecRun>>(const proto::api::ExecRequest&)>;

/// What the routes work with. All outlive the Api.
struct ApiParts {
  deploy::engine::Engine& engine;
  deploy::image::Upkeep& images;
  ReadLedger read_ledger;
  LogRead read_logs;
  PrepareExec prepare_exec;
  /// Replies on the io thread, from where it is called.
  std::function<void(const std::function<void(std::string)>&)> metrics;
  /// By which it may be asked over TCP, besides addresses.
  std::vector<std::string> tcp_names;
  const ScrapeToken& scrape_token;
  PlanRecovery plan_recovery;
  /// Records the request and restarts the program, which carries it out. From any thread.
  std::function<Status(const deploy::ledger::RecoveryRequest&)> recover;
  /// What of the configuration the agent runs without; called on the io thread.
  std::function<std::vector<std::string>()> incomplete;
  /// How the source stands; none: there is none. On the io thread.
  std::function<std::optional<proto::api::SourceStatus>()> source;
  /// Asks the source now; the reply comes on the io thread. On the io thread.
  std::function<void(std::function<void(Result<proto::api::SourceStatus>)>)> sync;
};

/// What proto/openapi.yaml describes. Lives on the io thread; what blocks runs on a few job
/// threads.
class Api {
 public:
  Api(ApiParts parts, Access access);
  ~Api();

  void handle(const ExchangePtr& exchange);
  /// Bytes that a body may have: a document where one is sent, else little. Any thread.
  [[nodiscard]] static std::size_t body_limit(std::string_view method, std::string_view path);
  /// After a reload of the configuration.
  void set_access(Access access) { access_ = std::move(access); }
  [[nodiscard]] Role role_of(const Peer& peer) const { return access_.role_of(peer); }
  /// Ends followed logs and ledger reads; joins.
  void stop();

 private:
  struct Route;
  static const std::vector<Route>& routes();
  template <class Operation>
  void dispatch(const ExchangePtr& exchange, std::string argument);

  // The handlers: each row of proto/api/operations.hpp has one, or this does not compile.
  void handle(const CallOf<"status">& call);
  void handle(const CallOf<"history">& call);
  void handle(const CallOf<"generation">& call);
  void handle(const CallOf<"drift">& call);
  void handle(const CallOf<"plan">& call);
  void handle(const CallOf<"apply">& call);
  void handle(const CallOf<"rollback">& call);
  void handle(const CallOf<"hold">& call);
  void handle(const CallOf<"resume">& call);
  void handle(const CallOf<"quarantine">& call);
  void handle(const CallOf<"quarantine_add">& call);
  void handle(const CallOf<"quarantine_release">& call);
  void handle(const CallOf<"rehearse">& call);
  void handle(const CallOf<"standby_drop">& call);
  void handle(const CallOf<"service_stop">& call);
  void handle(const CallOf<"service_start">& call);
  void handle(const CallOf<"service_restart">& call);
  void handle(const CallOf<"exec">& call);
  void handle(const CallOf<"shutdown">& call);
  void handle(const CallOf<"events">& call);
  void handle(const CallOf<"ledger_entries">& call);
  void handle(const CallOf<"ledger_head">& call);
  void handle(const CallOf<"ledger_verify">& call);
  void handle(const CallOf<"ledger_recover">& call);
  void handle(const CallOf<"sync">& call);
  void handle(const CallOf<"logs">& call);
  void handle(const CallOf<"images">& call);
  void handle(const CallOf<"image_pull">& call);
  void handle(const CallOf<"image_verify">& call);
  void handle(const CallOf<"image_gc">& call);
  void handle(const CallOf<"image_export">& call);
  void handle(const CallOf<"image_import">& call);
  void handle(const CallOf<"version">& call);
  void handle(const CallOf<"metrics">& call);
  void handle(const CallOf<"healthz">& call);
  void handle(const CallOf<"readyz">& call);

  [[nodiscard]] Role role_of(const Request& request) const {
    return request.peer ? access_.role_of(*request.peer) : Role::observe;
  }
  using LedgerRead = std::function<void(deploy::ledger::Reader&)>;
  /// On a job thread, with a connection of its own.
  void with_ledger(const ExchangePtr& exchange, LedgerRead read);

  /// Begins a job on the image store, and answers with it.
  template <class Operation, class Begin>
  void image_job(const Call<Operation>& call, Begin begin);
  /// Asks the disk, on a thread that may wait for it.
  template <class Operation, class T>
  void look_at_images(const Call<Operation>& call, Result<T> (deploy::image::Upkeep::*question)());

  ApiParts parts_;
  Access access_;
  SharedPool image_looks_{
      "image-look",
      "looks at the images",
      {{.threads = 1, .waiting = 16}, {.all = 8, .of_one_actor = 2, .kept_for_each_role = 1}}};
  SharedPool ledger_jobs_{
      "ledger-read",
      "reads of the ledger",
      {{.threads = 2, .waiting = 48}, {.all = 32, .of_one_actor = 8, .kept_for_each_role = 4}}};
  os::FairMutex log_turn_;  ///< one reader works at a time, in pieces
  SharedPool exec_jobs_{"exec",
                        "commands in instances",
                        {{.threads = 24}, {.all = 16, .of_one_actor = 6, .kept_for_each_role = 0}}};
  SharedPool log_jobs_{"log-read",
                       "log readers",
                       {{.threads = 16}, {.all = 8, .of_one_actor = 4, .kept_for_each_role = 1}}};
};

}  // namespace holdfast::agent::daemon
