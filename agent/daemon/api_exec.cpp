// A command in an instance: who may and where, then a record, then the connection is its client's.
#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "agent/daemon/api.hpp"
#include "common/base/text.hpp"
#include "common/log/log.hpp"
#include "deploy/requests/exec_request.hpp"
#include "proto/api/exec_frames.hpp"

namespace holdfast::agent::daemon {
namespace {

namespace api = proto::api;

/// What another thread will say, waited for.
template <class T>
class Awaited {
 public:
  void set(T value) {
    const std::lock_guard lock{mutex_};
    value_.emplace(std::move(value));
    set_.notify_all();
  }
  /// None: stopped before.
  [[nodiscard]] std::optional<T> get(const std::stop_token& stop) {
    std::unique_lock lock{mutex_};
    set_.wait(lock, stop, [this] { return value_.has_value(); });
    return std::move(value_);
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any set_;
  std::optional<T> value_;
};

struct ExecJob {
  deploy::engine::Engine& engine;
  Answerer<api::Op<"exec">> answer;
  PrepareExec prepare;
  deploy::requests::Actor actor;
  api::ExecRequest asked;
  std::stop_source gone{};       ///< the client went before it began, or the daemon stops
  std::string session_number{};  ///< its number, by which beginning and end are told as one

  void run(const std::stop_token& stop) {
    const std::stop_callback on_stop{stop, [this] { gone.request_stop(); }};
    if (auto done = begin(); !done && done.error().code() != Errc::cancelled) answer(done.error());
  }

 private:
  Status begin() {
    HF_TRY(choose_instance());
    HF_ASSIGN(const auto session, prepare(asked));
    auto detail = deploy::requests::exec_details(asked);
    detail["instance"] = asked.instance;
    detail["session"] = session_number = session->number();
    HF_TRY(record(proto::EntryKind::exec_started, std::move(detail)));
    auto client = take_connection();
    if (!client.socket) {
      note_end({0, api::ErrorBody{{}, "the client went away", {}}});
      return Error{Errc::cancelled, "exec"};
    }
    const auto end = session->run(std::move(client.socket), gone.get_token());
    note_end(end);
    return ok();
  }

  /// The one that serves, unless another was named.
  Status choose_instance() {
    if (!asked.instance.empty()) return ok();  // whose service it is, its record says
    const auto snapshot = engine.snapshot();
    const auto& services = snapshot->status.services;
    const auto found = std::find_if(services.begin(), services.end(),
                                    [&](const auto& each) { return each.name == asked.service; });
    if (found == services.end()) {
      std::string names;
      for (const auto& each : services) names += (names.empty() ? "" : ", ") + each.name;
      return Error{Errc::not_found,
                   fmt::format("no service {} is declared here", printable(asked.service))}
          .hint("declared: " + names);
    }
    asked.instance = found->instance;
    if (!asked.instance.empty() && found->pid != 0) return ok();
    return Error{Errc::conflict,
                 fmt::format("{} does not run: it is {}{}", asked.service, found->state.text(),
                             found->detail.empty() ? "" : ", " + found->detail)}
        .hint("holdfast logs " + asked.service);
  }

  /// Answered within a second or so, whatever the disk does; a daemon that stops hears it too.
  Status record(proto::EntryKind kind, std::map<std::string, std::string> detail) {
    const auto said = std::make_shared<Awaited<Status>>();
    engine.record_exec({kind, asked.service, std::move(detail)}, actor, [said](const auto& done) {
      said->set(done ? Status{ok()} : Status{done.error()});
    });
    return *said->get({});
  }

  Upgraded take_connection() {
    const auto taken = std::make_shared<Awaited<std::shared_ptr<Upgraded>>>();
    answer.upgrade(api::kExecProtocol, [taken](Upgraded connection) {
      taken->set(std::make_shared<Upgraded>(std::move(connection)));
    });
    auto got = taken->get(gone.get_token());
    return got ? std::move(**got) : Upgraded{};
  }

  void note_end(const api::ExecEnd& end) {
    std::map<std::string, std::string> detail{{"instance", asked.instance},
                                              {"session", session_number}};
    if (!end.error || end.exit_code != 0) detail["exit_code"] = std::to_string(end.exit_code);
    if (end.error) detail["outcome"] = printable(end.error->message);
    if (const auto done = record(proto::EntryKind::exec_ended, std::move(detail)); !done)
      log::warn("event=exec_end_not_recorded service={} error={}", asked.service,
                log::field(done.error().to_string()));
  }
};

}  // namespace

void Api::handle(const CallOf<"exec">& call) {
  if (call.request().upgrade != api::kExecProtocol)
    return call.answer(Error{Errc::usage, "the connection is to go on with frames"}.hint(
        "send \"Upgrade: holdfast-exec\" and \"Connection: Upgrade\""));
  if (auto checked = deploy::requests::check_exec(call.asked); !checked)
    return call.answer(checked.error());
  const auto job = std::make_shared<ExecJob>(
      ExecJob{parts_.engine, call.answer, parts_.prepare_exec, call.actor(), call.asked});
  call.exchange->on_close([gone = job->gone]() mutable { gone.request_stop(); });
  auto started = exec_jobs_.start(call.request(), role_of(call.request()),
                                  [job](const std::stop_token& stop) { job->run(stop); });
  if (!started) call.answer(started.error());
}

}  // namespace holdfast::agent::daemon
