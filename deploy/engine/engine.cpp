#include "deploy/engine/engine.hpp"

#include <thread>

#include "common/log/log.hpp"
#include "common/os/job_pool.hpp"
#include "common/os/process.hpp"
#include "deploy/engine/core.hpp"
#include "deploy/engine/mailbox.hpp"
#include "deploy/requests/change_rate.hpp"
#include "deploy/requests/request_quota.hpp"

namespace holdfast::deploy::engine {
namespace {

/// A pass longer than this means that the engine hangs: the watchdog is not fed any more.
constexpr auto kLongestPass = std::chrono::seconds{20};

/// Who wakes later than this did not run in between: SIGSTOP, a suspended host, one that starves.
constexpr auto kLate = std::chrono::seconds{2};
/// What is recorded at once costs a flush of the disk each.
constexpr requests::RequestQuota::Limits kChanges{
    .all = 4, .of_one_actor = 2, .kept_for_each_role = 1};
/// So long are messages read without a pass.
constexpr Milliseconds kSlice{10};
/// Documents that are read before they are decided on, one after the other.
constexpr requests::RequestQuota::Limits kDocuments{
    .all = 8, .of_one_actor = 2, .kept_for_each_role = 2};
/// Dry runs of rollbacks and rehearsals may have to read a document that a rollback does not wait
/// behind: so many at once, and one thread more.
constexpr requests::RequestQuota::Limits kLookups{
    .all = 4, .of_one_actor = 1, .kept_for_each_role = 1};
/// Stops that wait for a process, when everything ends: who has more services has no faster host.
constexpr std::size_t kEndsAtATime = 64;
/// Answers of probes that come within it are read together.
constexpr Milliseconds kGather{5};

/// What the engine starts is bounded by what it knows, documents by requests::RequestQuota. A
/// thread stays from one probe to the next.
constexpr os::JobPool::Bounds threads(std::size_t most) {
  constexpr std::chrono::minutes kLinger{1};
  return {.threads = most, .waiting = os::JobPool::kAnyNumber, .linger = kLinger};
}

class ThreadedEngine final : public Engine, private Jobs {
 public:
  ThreadedEngine(Ports ports, Options options)
      : clock_(ports.clock),
        control_(ports.control),
        publisher_(ports.publisher),
        pools_{os::JobPool{"job", threads(4)},
               os::JobPool{"pull", threads(2)},
               os::JobPool{"probe", threads(4)},
               os::JobPool{"stop", threads(4)},
               os::JobPool{"retire", threads(8)},
               os::JobPool{"drain", threads(2)},
               os::JobPool{"document", threads(kLookups.all + 2)},
               os::JobPool{"shutdown", threads(kEndsAtATime)},
               os::JobPool{"brief", threads(4)},
               os::JobPool{"network", threads(1)},
               os::JobPool{"evidence", threads(4)}},
        on_arrival_(options.on_arrival),
        documents_(ports.images, options),
        core_(ports, std::move(options), *this) {}
  ~ThreadedEngine() override { halt(); }

  [[nodiscard]] Status load() { return core_.load(); }

  void start() override {
    control_.watch([this, mailbox = mailbox_](const runtime::InstanceId&, runtime::Change) {
      mailbox->post([this] { core_.attention().mark_changed(); });
    });
    // Which instance lost its link, nobody says.
    publisher_.watch([this, mailbox = mailbox_] {
      mailbox->post([this] { core_.attention().mark_changed(runtime::InspectionDepth::full); });
    });
    thread_ = std::jthread{[this](const std::stop_token& stop) {
      os::name_this_thread("engine");
      loop(stop);
    }};
  }
  void stop() override { halt(); }

  [[nodiscard]] std::shared_ptr<const Snapshot> snapshot() const override {
    return core_.snapshot();
  }
  [[nodiscard]] EventLog& events() override { return core_.events(); }

  void apply(proto::api::ApplyRequest request, Actor actor,
             Reply<proto::api::Accepted> reply) override {
    if (on_arrival_) on_arrival_();
    read(applies_, std::move(request), actor,
         [this, actor, reply = std::move(reply)](Result<Candidate> read, const Place&) {
           if (!read) return reply(std::move(read).error());
           reply(core_.commands().applies.apply(std::move(read).value(), actor,
                                                plan::Trigger::apply));
         });
  }
  void rollback(proto::api::RollbackRequest request, Actor actor,
                Reply<proto::api::Accepted> reply) override {
    mailbox_->post_urgent(
        [this, request = std::move(request), actor = std::move(actor), reply = std::move(reply)] {
          auto& rollbacks = core_.commands().rollbacks;
          rollbacks.prepare(request.to, [&rollbacks, request, actor, reply] {
            reply(rollbacks.rollback(request, actor));
          });
        });
  }
  void plan_apply(proto::api::ApplyRequest request, Actor actor,
                  Reply<proto::api::PlanReport> reply) override {
    read(plans_, std::move(request), std::move(actor),
         [this, reply = std::move(reply)](Result<Candidate> read, const Place& place) {
           if (!read) return reply(std::move(read).error());
           finish(core_.commands().applies.plan(std::move(read).value()), reply, place);
         });
  }
  void plan_rollback(proto::api::RollbackRequest request, Actor actor,
                     Reply<proto::api::PlanReport> reply) override {
    mailbox_->post(
        [this, request = std::move(request), actor = std::move(actor), reply = std::move(reply)] {
          auto place = take(lookups_, actor);
          if (!place) return reply(std::move(place).error());
          core_.commands().rollbacks.prepare(request.to, [this, request, reply, place = *place] {
            finish(core_.commands().rollbacks.plan(request), reply, place);
          });
        });
  }
  void hold(proto::api::HoldRequest request, Actor actor,
            Reply<proto::api::HoldStatus> reply) override {
    ask(core_.commands().holds, &HoldsAndQuarantine::hold, std::move(request), std::move(actor),
        std::move(reply));
  }
  void resume(proto::api::ResumeRequest request, Actor actor,
              Reply<proto::api::Resumed> reply) override {
    ask<Rate::free>(core_.commands().holds, &HoldsAndQuarantine::resume, std::move(request),
                    std::move(actor), std::move(reply));
  }
  void quarantine(proto::api::QuarantineRequest request, Actor actor,
                  Reply<proto::api::QuarantineItem> reply) override {
    ask(core_.commands().holds, &HoldsAndQuarantine::quarantine, std::move(request),
        std::move(actor), std::move(reply));
  }
  void release(proto::api::ReleaseRequest request, Actor actor,
               Reply<proto::api::QuarantineItem> reply) override {
    ask<Rate::free>(core_.commands().holds, &HoldsAndQuarantine::release, std::move(request),
                    std::move(actor), std::move(reply));
  }
  void rehearse(proto::api::RehearseRequest request, Actor actor,
                Reply<proto::api::Accepted> reply) override {
    mailbox_->post(
        [this, request = std::move(request), actor = std::move(actor), reply = std::move(reply)] {
          auto place = take(lookups_, actor);
          if (!place) return reply(std::move(place).error());
          auto& commands = core_.commands();
          commands.rollbacks.prepare(request.generation,
                                     [&commands, request, actor, reply, place = *place] {
                                       reply(commands.rehearsals.rehearse(request, actor));
                                     });
        });
  }
  void record_exec(ExecRecord record, Actor actor, Reply<std::monostate> reply) override {
    // How many at once, their threads say; what ends was bounded when it began.
    if (record.kind == proto::EntryKind::exec_started)
      if (auto counted = rate_.take(actor); !counted) return reply(std::move(counted).error());
    auto& services = core_.commands().services;
    mailbox_->post([&services, record = std::move(record), actor = std::move(actor),
                    reply = std::move(reply)] { reply(services.record_exec(record, actor)); });
  }
  void drop_standby(proto::api::StandbyDropRequest request, Actor actor,
                    Reply<proto::api::StandbyDropped> reply) override {
    ask(core_.commands().standby, &Standby::drop, std::move(request), std::move(actor),
        std::move(reply));
  }
  void stop_service(proto::api::ServiceStopRequest request, Actor actor,
                    Reply<proto::api::ServiceChange> reply) override {
    ask(core_.commands().services, &ServiceCommands::stop, std::move(request), std::move(actor),
        std::move(reply));
  }
  void start_service(proto::api::ServiceStartRequest request, Actor actor,
                     Reply<proto::api::ServiceChange> reply) override {
    ask(core_.commands().services, &ServiceCommands::start, std::move(request), std::move(actor),
        std::move(reply));
  }
  void shutdown(proto::api::ShutdownRequest request, Actor actor,
                Reply<proto::api::ShutdownProgress> reply) override {
    mailbox_->post_urgent([this, request, actor = std::move(actor), reply = std::move(reply)] {
      reply(core_.commands().shutdown.ask(request, actor));
    });
  }
  void restart_service(proto::api::ServiceRestartRequest request, Actor actor,
                       Reply<proto::api::ServiceChange> reply) override {
    ask(core_.commands().services, &ServiceCommands::restart, std::move(request), std::move(actor),
        std::move(reply));
  }
  void source_changed(OfferedText offered) override {
    if (on_arrival_) on_arrival_();
    (void)applies_.pool.start([this, offered = std::move(offered)](const std::stop_token&) mutable {
      auto read = documents_.read({.document = std::move(offered.document),
                                   .file = offered.source,
                                   .reason = "changed source"});
      read.evidence = std::move(offered.evidence);
      mailbox_->post([this, read = std::move(read), source = std::move(offered.source)]() mutable {
        core_.commands().sources.changed(std::move(read), source);
      });
    });
  }
  void source_refused(Error error, std::string source) override {
    mailbox_->post([this, error = std::move(error), source = std::move(source)] {
      core_.commands().sources.refused(error, source);
    });
  }
  void reconfigure(proto::LiveSettings settings) override {
    mailbox_->post([this, settings = std::move(settings)] { core_.reconfigure(settings); });
  }
  void images_changed(std::string collected, Actor actor) override {
    mailbox_->post([this, collected = std::move(collected), actor = std::move(actor)] {
      core_.images_changed(collected, actor);
    });
  }
  [[nodiscard]] bool alive() const override {
    const auto began = pass_began_.load();
    return began == BootTime{} || clock_.boot() - began < kLongestPass;
  }

 private:
  /// Documents of one kind, read in turn on a thread of their own.
  struct Readers {
    requests::RequestQuota quota;
    os::JobPool pool;
  };

  /// Of a quota; given back with its last copy.
  using Place = std::shared_ptr<void>;
  [[nodiscard]] static Result<Place> take(requests::RequestQuota& quota, const Actor& actor) {
    HF_TRY(quota.take(actor));
    return Place{nullptr, [&quota, actor](void*) { quota.give_back(actor); }};
  }

  /// Reads the document, then calls `done` on the engine thread: with an error where too many wait.
  void read(Readers& readers, proto::api::ApplyRequest request, const Actor& actor,
            std::function<void(Result<Candidate>, const Place&)> done) {
    auto place = take(readers.quota, actor);
    if (place && &readers == &applies_)
      if (auto counted = rate_.take(actor); !counted) place = std::move(counted).error();
    if (!place)
      return mailbox_->post(
          [error = std::move(place).error(), done = std::move(done)] { done(error, {}); });
    (void)readers.pool.start([this, request = std::move(request), place = *std::move(place),
                              done = std::move(done)](const std::stop_token&) mutable {
      mailbox_->post([place, done, read = documents_.read(std::move(request))]() mutable {
        done(std::move(read), place);
      });
    });
  }

  /// Compares the documents of a plan on the thread that reads those of plans.
  void finish(Result<UnfinishedPlan> plan, const Reply<proto::api::PlanReport>& reply,
              const Place& place) {
    if (!plan) return reply(std::move(plan).error());
    (void)plans_.pool.start(
        [plan = std::move(plan).value(), reply, place](const std::stop_token&) { reply(plan()); });
  }

  void loop(const std::stop_token& stop) {
    BootTime due{};
    bool wake = true;
    std::deque<Mailbox::Message> messages;
    while (!stop.stop_requested()) {
      if (wake || core_.attention().changed() || clock_.boot() >= due) {
        pass_began_ = clock_.boot();
        due = core_.reconcile(Freshness::remembered);
        pass_began_ = BootTime{};
      }
      if (messages.empty()) {
        const auto slept = clock_.boot();
        messages = mailbox_->take(clock_, due, stop, core_.at_rest() ? kGather : Milliseconds{0});
        if (const auto late = clock_.boot() - std::max(due, slept); late > kLate)
          core_.suspended(late);
      }
      wake = mailbox_->read(messages, clock_, kSlice, stop);
      wake = core_.take_wake() || wake;
    }
  }

  /// What ends a hold or a quarantine is bounded by what began it.
  enum class Rate : std::uint8_t { counted, free };
  /// A command that is one call on the engine thread.
  template <Rate kRate = Rate::counted, class Owner, class Request, class Answer>
  void ask(Owner& owner, Result<Answer> (Owner::*call)(const Request&, const Actor&),
           Request request, Actor actor, Reply<Answer> reply) {
    auto place = take(changes_, actor);
    if (!place) return reply(std::move(place).error());
    if constexpr (kRate == Rate::counted) {
      if (auto counted = rate_.take(actor); !counted) return reply(std::move(counted).error());
    }
    mailbox_->post([&owner, call, request = std::move(request), actor = std::move(actor),
                    reply = std::move(reply),
                    place = std::move(place)] { reply((owner.*call)(request, actor)); });
  }

  void run(Pool pool, Work work) override {
    (void)pools_[static_cast<std::size_t>(pool)].start(
        [this, pool, work = std::move(work)](const std::stop_token& stop) {
          // Most probes answer what they answered before.
          auto back = work(stop);
          if (!back) return;
          // A rollback waits for the document of its target.
          if (pool == Pool::document) return mailbox_->post_urgent(std::move(back));
          mailbox_->post(std::move(back), pool != Pool::probe);
        });
  }

  void halt() {
    if (thread_.joinable()) {
      thread_.request_stop();
      thread_.join();
    }
    applies_.pool.stop();
    plans_.pool.stop();
    for (auto& pool : pools_) pool.stop();
    mailbox_->close();
  }

  const Clock& clock_;
  runtime::InstanceControl& control_;
  network::Publisher& publisher_;
  /// Shared with the watchers, whose owners outlive the engine: what they report then is lost.
  const std::shared_ptr<Mailbox> mailbox_ = std::make_shared<Mailbox>();
  std::array<os::JobPool, kPools> pools_;
  Readers applies_{requests::RequestQuota{"applies", kDocuments}, os::JobPool{"apply", threads(1)}};
  requests::RequestQuota changes_{"changes", kChanges};
  requests::ChangeRate rate_{{}, clock_};
  requests::RequestQuota lookups_{"dry runs and rehearsals", kLookups};
  Readers plans_{requests::RequestQuota{"plans", kDocuments}, os::JobPool{"plan", threads(1)}};
  std::function<void()> on_arrival_;
  const CandidateReader documents_;
  Core core_;
  std::atomic<BootTime> pass_began_{};
  std::jthread thread_;
};

}  // namespace

Result<std::unique_ptr<Engine>> Engine::create(Ports ports, Options options) {
  auto engine = std::make_unique<ThreadedEngine>(ports, std::move(options));
  HF_TRY(engine->load());
  return std::unique_ptr<Engine>{std::move(engine)};
}

}  // namespace holdfast::deploy::engine
