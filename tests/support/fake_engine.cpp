#include "tests/support/fake_engine.hpp"

#include <fmt/format.h>

#include "common/os/process.hpp"
#include "proto/api/codec.hpp"

namespace holdfast::test {

namespace api = proto::api;
using deploy::engine::Records;
using deploy::engine::Reply;
using deploy::engine::Snapshot;

FakeEngine::FakeEngine(deploy::ledger::Ledger& ledger, const Clock& clock, Options options)
    : ledger_(ledger),
      clock_(clock),
      options_(std::move(options)),
      snapshot_(std::make_shared<Snapshot>()) {
  renew([&](Snapshot& next) {
    next.status.state = "empty";
    next.status.agent_version = HOLDFAST_VERSION;
    next.status.agent_since = to_rfc3339(clock_.wall());
    next.gauges.waiting = {{"hold", 0}, {"window", 0}};
    for (const auto kind : proto::Words<proto::DriftKind>::kAll)
      next.gauges.drift_now[std::string{kind}] = 0;
  });
}

FakeEngine::~FakeEngine() { stop(); }

void FakeEngine::start() {
  thread_ = std::jthread{[this](const std::stop_token& stop) {
    os::name_this_thread("fake-engine");
    if (!os::sleep_until(clock_.boot() + options_.ready_after, stop)) return;
    renew([](Snapshot& next) { next.ready = true; });
    while (!stop.stop_requested()) {
      std::vector<Letter> taken;
      {
        std::unique_lock lock{mutex_};
        arrived_.wait(lock, stop, [this] { return !letters_.empty(); });
        taken.swap(letters_);
      }
      for (const auto& letter : taken) letter();
    }
  }};
}

void FakeEngine::stop() {
  if (!thread_.joinable()) return;
  (void)os::sleep_until(clock_.boot() + options_.stop_takes, {});
  thread_.request_stop();
  thread_.join();
}

std::shared_ptr<const Snapshot> FakeEngine::snapshot() const {
  const std::lock_guard lock{mutex_};
  return snapshot_;
}

void FakeEngine::renew(const std::function<void(Snapshot&)>& change) {
  auto next = std::make_shared<Snapshot>(*snapshot());
  change(*next);
  const std::lock_guard lock{mutex_};
  snapshot_ = std::move(next);
}

void FakeEngine::renew_records(const std::function<void(Records&)>& change) {
  renew([&](Snapshot& next) {
    auto records = std::make_shared<Records>(*next.records);
    change(*records);
    next.records = std::move(records);
  });
}

void FakeEngine::post(Letter letter) {
  const std::lock_guard lock{mutex_};
  letters_.push_back(std::move(letter));
  arrived_.notify_one();
}

void FakeEngine::publish(std::string kind, std::uint64_t generation, std::string message) {
  events_.publish(
      {0, to_rfc3339(clock_.wall()), std::move(kind), generation, "", std::move(message), ""});
}

Result<api::Accepted> FakeEngine::accept(const api::ApplyRequest& request,
                                         const std::string& actor) {
  HF_ASSIGN(const auto wanted, proto::load_deployment(request.document, request.file));
  const auto now = snapshot();
  api::Accepted accepted{now->status.generation, wanted.spec_digest.str(), false, events_.last()};
  if (now->status.spec_digest == accepted.spec_digest) return accepted;
  accepted = {now->records->history.size() + 1, wanted.spec_digest.str(), true, events_.last()};
  const deploy::plan::GenerationId id{accepted.generation};
  proto::Entry entry;
  entry.kind = proto::EntryKind::accepted;
  entry.time = clock_.wall();
  entry.actor = actor;
  entry.reason = request.reason;
  entry.generation = accepted.generation;
  HF_ASSIGN(const auto head, ledger_.commit({.entries = {entry},
                                             .generation = deploy::ledger::NewGeneration{
                                                 id, wanted.spec_digest, request.document, actor,
                                                 request.reason, clock_.wall()}}));
  renew([&](Snapshot& next) {
    next.head = head;
    next.status.deployment = wanted.name;
    next.status.generation = accepted.generation;
    next.status.spec_digest = accepted.spec_digest;
    next.status.state = "converged";
    next.status.services.clear();
    for (const auto& [name, service] : wanted.services) {
      auto& row = next.status.services.emplace_back();
      row.name = name.str();
      row.image = service.image.str();
      row.digest = service.image.digest.str();
      row.state = "running";
      row.health = "healthy";
      row.since = to_rfc3339(clock_.wall());
      next.counters.workloads[row.name].restarts = 0;
    }
    next.status.rollout.reset();
    if (request.reason == "start a rollout")
      next.status.rollout = api::RolloutStatus{accepted.generation, "soaking", 0, "", ""};
  });
  renew_records([&](Records& next) {
    for (auto& item : next.history) item.current = false;
    next.history.insert(next.history.begin(),
                        {accepted.generation, accepted.spec_digest, "good", request.reason, actor,
                         to_rfc3339(clock_.wall()), true, false});
  });
  publish("accepted", accepted.generation, "by " + actor);
  publish("result", accepted.generation, "good");
  return accepted;
}

void FakeEngine::apply(api::ApplyRequest request, deploy::engine::Actor actor,
                       Reply<api::Accepted> reply) {
  post([this, request = std::move(request), actor = std::move(actor), reply = std::move(reply)] {
    if (request.reason != "be silent") reply(accept(request, actor));
  });
}

void FakeEngine::rollback(api::RollbackRequest request, deploy::engine::Actor actor,
                          Reply<api::Accepted> reply) {
  post([this, request, actor = std::move(actor), reply = std::move(reply)] {
    const auto now = snapshot();
    if (request.to == 0 || request.to > now->records->history.size())
      return reply(Error{Errc::not_found, "there is no earlier good generation"}.hint(
          "holdfast history lists them"));
    publish("rollback_started", request.to, "by " + actor.name);
    reply(api::Accepted{request.to, "", true, events_.last()});
  });
}

void FakeEngine::plan_apply(api::ApplyRequest request, deploy::engine::Actor /*actor*/,
                            Reply<api::PlanReport> reply) {
  post([this, request = std::move(request), reply = std::move(reply)] {
    const auto wanted = proto::load_deployment(request.document, request.file);
    if (!wanted) return reply(wanted.error());
    const auto current = snapshot()->status.generation;
    reply(api::PlanReport{current,
                          current + 1,
                          wanted->spec_digest.str(),
                          true,
                          {{"web", "create", "new", {}, {}}},
                          {{"before", "migrate", "shop/db:1.0.0", "within 5m", {}}},
                          {},
                          {}});
  });
}

void FakeEngine::plan_rollback(api::RollbackRequest request, deploy::engine::Actor,
                               Reply<api::PlanReport> reply) {
  post([this, request, reply = std::move(reply)] {
    reply(api::PlanReport{snapshot()->status.generation, request.to, "", true, {}, {}, {}, {}});
  });
}

void FakeEngine::hold(api::HoldRequest request, deploy::engine::Actor actor,
                      Reply<api::HoldStatus> reply) {
  post([this, request = std::move(request), actor = std::move(actor), reply = std::move(reply)] {
    const api::HoldStatus hold{actor, request.reason, to_rfc3339(clock_.wall()), request.until};
    renew([&](Snapshot& next) {
      next.status.hold = hold;
      next.status.state = "held";
    });
    publish("held", 0, request.reason);
    reply(hold);
  });
}

void FakeEngine::resume(api::ResumeRequest request, deploy::engine::Actor,
                        Reply<api::Resumed> reply) {
  post([this, request = std::move(request), reply = std::move(reply)] {
    const api::Resumed ended{snapshot()->status.hold};
    renew([&](Snapshot& next) {
      next.status.hold.reset();
      next.status.state = "converged";
    });
    publish("resumed", 0, request.reason);
    reply(ended);
  });
}

void FakeEngine::quarantine(api::QuarantineRequest request, deploy::engine::Actor actor,
                            Reply<api::QuarantineItem> reply) {
  post([this, request = std::move(request), actor = std::move(actor), reply = std::move(reply)] {
    api::QuarantineItem item;
    item.spec_digest = request.what;
    item.actor = actor;
    item.reason = request.reason;
    item.since = to_rfc3339(clock_.wall());
    item.until = request.until;
    renew_records([&](Records& next) {
      std::erase_if(next.quarantine,
                    [&](const auto& known) { return known.spec_digest == item.spec_digest; });
      next.quarantine.push_back(item);
    });
    reply(item);
  });
}

void FakeEngine::release(api::ReleaseRequest request, deploy::engine::Actor,
                         Reply<api::QuarantineItem> reply) {
  post([this, request = std::move(request), reply = std::move(reply)] {
    const auto now = snapshot();
    for (const auto& item : now->records->quarantine) {
      if (item.spec_digest.find(request.what) == std::string::npos) continue;
      renew_records([&](Records& next) {
        std::erase_if(next.quarantine,
                      [&](const auto& each) { return each.spec_digest == item.spec_digest; });
      });
      return reply(item);
    }
    reply(Error{Errc::not_found, request.what + " is not quarantined"}.hint(
        "holdfast quarantine list"));
  });
}

void FakeEngine::rehearse(api::RehearseRequest request, deploy::engine::Actor actor,
                          Reply<api::Accepted> reply) {
  post([this, request = std::move(request), actor = std::move(actor), reply = std::move(reply)] {
    const auto since = events_.last();
    renew([&](Snapshot& next) {
      next.status.rehearsal = api::RehearsalStatus{
          1, "passed", request.reason, actor, to_rfc3339(clock_.wall()), 0.5, {}};
    });
    publish("rehearsal_result", 1, "passed");
    reply(api::Accepted{1, "", true, since});
  });
}

void FakeEngine::drop_standby(api::StandbyDropRequest, deploy::engine::Actor actor,
                              Reply<api::StandbyDropped> reply) {
  post([this, actor = std::move(actor), reply = std::move(reply)] {
    const auto now = to_rfc3339(clock_.wall());
    publish("standby_dropped", 0, actor);
    reply(api::StandbyDropped{{{"web", "web-00000000-1", now, now}}});
  });
}

void FakeEngine::stop_service(api::ServiceStopRequest request, deploy::engine::Actor actor,
                              Reply<api::ServiceChange> reply) {
  post([this, request = std::move(request), actor = std::move(actor), reply = std::move(reply)] {
    publish("stopped", 0, actor);
    reply(api::ServiceChange{
        .service = request.service,
        .stopped = api::HoldStatus{actor, request.reason, to_rfc3339(clock_.wall()), request.until},
        .warnings = {}});
  });
}

void FakeEngine::start_service(api::ServiceStartRequest request, deploy::engine::Actor actor,
                               Reply<api::ServiceChange> reply) {
  post([this, request = std::move(request), actor = std::move(actor), reply = std::move(reply)] {
    publish("started", 0, actor);
    reply(api::ServiceChange{.service = request.service, .stopped = {}, .warnings = {}});
  });
}

void FakeEngine::shutdown(api::ShutdownRequest, deploy::engine::Actor actor,
                          Reply<api::ShutdownProgress> reply) {
  post([this, actor = std::move(actor), reply = std::move(reply)] {
    publish("stopped", 0, actor);
    reply(api::ShutdownProgress{{}, 0, 0.5});
  });
}

void FakeEngine::restart_service(api::ServiceRestartRequest request, deploy::engine::Actor actor,
                                 Reply<api::ServiceChange> reply) {
  post([this, request = std::move(request), actor = std::move(actor), reply = std::move(reply)] {
    publish("restarted", 0, actor);
    reply(api::ServiceChange{.service = request.service, .stopped = {}, .warnings = {}});
  });
}

void FakeEngine::record_exec(deploy::engine::ExecRecord record, deploy::engine::Actor actor,
                             Reply<std::monostate> reply) {
  post([this, record = std::move(record), actor = std::move(actor), reply = std::move(reply)] {
    publish(std::string{proto::to_string(record.kind)}, 0, actor);
    reply(std::monostate{});
  });
}

void FakeEngine::source_changed(deploy::engine::OfferedText offered) {
  post([this, offered = std::move(offered)] {
    const auto accepted =
        accept({.document = offered.document, .file = offered.source, .reason = "changed source"},
               "source " + offered.source);
    if (!accepted) publish("refused", 0, accepted.error().what());
  });
}

void FakeEngine::source_refused(Error error, std::string) {
  post([this, error = std::move(error)] { publish("refused", 0, error.to_string()); });
}

void FakeEngine::reconfigure(proto::LiveSettings settings) {
  post([this, settings = std::move(settings)] {
    publish("reconfigured", 0, fmt::format("retain {}", settings.retain));
  });
}

void FakeEngine::images_changed(std::string collected, deploy::engine::Actor actor) {
  post([this, collected = std::move(collected), actor = std::move(actor)] {
    publish("images_changed", 0, collected + " by " + actor.name);
  });
}

bool FakeEngine::alive() const {
  std::error_code ignored;
  return options_.dead_if_exists.empty() ||
         !std::filesystem::exists(options_.dead_if_exists, ignored);
}

}  // namespace holdfast::test
