#include "agent/cli/client/wait.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "common/os/process.hpp"
#include "proto/api/codec.hpp"

namespace holdfast::agent::cli {
namespace {

namespace api = proto::api;
using namespace std::chrono_literals;

constexpr Milliseconds kReconnect{200};
constexpr Milliseconds kCheckRecords{
    3'000};  ///< an event may be lost to a slow reader, or with an agent that was killed

/// One wait, over as many connections as it takes.
class Waiter {
 public:
  Waiter(AgentClient& agent, const Clock& clock, const WaitFor& wanted, ProgressPrinter& printer)
      : agent_(agent),
        clock_(clock),
        wanted_(wanted),
        printer_(printer),
        progress_(wanted.accepted.generation),
        after_(wanted.accepted.since_event),
        started_wall_(clock.wall()),
        started_(clock.boot()) {}

  Result<Ended> run();

 private:
  using MaybeEnd = Result<std::optional<Ended>>;
  MaybeEnd follow();
  MaybeEnd next_event(EventStream& stream);
  MaybeEnd on_event(const api::Event& event);
  MaybeEnd check_records();
  /// Errors that a restart of the agent explains: try again.
  [[nodiscard]] bool passes(const Error& error) const {
    return error.code() == Errc::unreachable || error.code() == Errc::busy ||
           (error.code() == Errc::timed_out && clock_.boot() < wanted_.deadline);
  }

  AgentClient& agent_;
  const Clock& clock_;
  const WaitFor& wanted_;
  ProgressPrinter& printer_;
  Progress progress_;
  std::uint64_t after_;
  WallTime started_wall_;
  BootTime started_;
  BootTime checked_{};
};

Result<Ended> Waiter::run() {
  for (checked_ = clock_.boot();;) {
    auto ended = follow();
    if (!ended && !passes(ended.error())) return std::move(ended).error();
    if (ended && *ended) return std::move(**ended);
    if (clock_.boot() >= wanted_.deadline) break;
    os::sleep_until(std::min(clock_.boot() + kReconnect, wanted_.deadline), {});
    auto known = check_records();
    if (!known && !passes(known.error())) return std::move(known).error();
    if (known && *known) return std::move(**known);
  }
  return Error{Errc::timed_out, "timed out waiting"};
}

Waiter::MaybeEnd Waiter::follow() {
  HF_ASSIGN(auto stream, agent_.events({after_, true, {}}));
  for (;;) {
    auto ended = next_event(stream);
    if (!ended || *ended) return ended;
    if (clock_.boot() >= wanted_.deadline) return std::optional<Ended>{};
  }
}

Waiter::MaybeEnd Waiter::next_event(EventStream& stream) {
  const auto until = std::min(clock_.boot() + printer_.period(), wanted_.deadline);
  auto event = stream.next(until);
  if (event && !*event) return Error{Errc::unreachable, "the agent ended its stream of events"};
  if (event) {
    checked_ = clock_.boot();
    return on_event(**event);
  }
  if (event.error().code() != Errc::timed_out) return std::move(event).error();
  printer_.show(progress_, clock_.boot());
  return clock_.boot() < checked_ + kCheckRecords ? MaybeEnd{std::optional<Ended>{}}
                                                  : check_records();
}

Waiter::MaybeEnd Waiter::on_event(const api::Event& event) {
  after_ = event.number;
  progress_.on(event, clock_.boot());
  printer_.show(progress_, clock_.boot());
  if (event.kind != "result" || event.generation != wanted_.accepted.generation)
    return std::optional<Ended>{};
  auto outcome = api::decode<api::Outcome>(event.detail);
  if (!outcome)
    return Error{Errc::internal, "the agent's result is not understood: " + outcome.error().what()}
        .hint("look at it with: holdfast history");
  return std::optional<Ended>{Ended{std::move(*outcome), decode_evidence(event.detail)}};
}

Waiter::MaybeEnd Waiter::check_records() {
  checked_ = clock_.boot();
  HF_ASSIGN(const auto status, agent_.call<"status">());
  HF_ASSIGN(const auto history, agent_.call<"history">());
  // Event numbers restart with the agent.
  const auto since = parse_rfc3339(status.value.agent_since);
  if (since && *since > started_wall_) {
    after_ = 0;
    started_wall_ = *since;
  }
  auto outcome = end_from_records(wanted_.accepted.generation, status.value, history.value);
  if (!outcome) return std::optional<Ended>{};
  outcome->seconds = std::chrono::duration<double>(clock_.boot() - started_).count();
  return std::optional<Ended>{Ended{std::move(*outcome), {}}};
}

}  // namespace

namespace {

proto::Word<api::OutcomeResult> outcome_of(proto::Word<api::GenerationResult> result) {
  return proto::Word<api::OutcomeResult>::read(result.text());
}

}  // namespace

std::optional<api::Outcome> end_from_records(std::uint64_t generation, const api::Status& status,
                                             const std::vector<api::HistoryItem>& history) {
  if (status.rollout && status.rollout->phase == "waiting" &&
      status.rollout->generation == generation)
    return api::Outcome{generation, "waiting", 0, status.services,
                        api::ErrorBody{"E_HELD",
                                       fmt::format("generation {} is accepted, but it waits: {}",
                                                   generation, status.rollout->waiting_for),
                                       "holdfast status"}};
  if (status.rollout) return std::nullopt;
  const auto item = std::find_if(history.begin(), history.end(),
                                 [&](const auto& each) { return each.generation == generation; });
  if (item == history.end() || item->result == "pending") return std::nullopt;
  api::Outcome outcome{generation, outcome_of(item->result), 0, status.services, std::nullopt};
  const auto failed = [&](api::OutcomeResult result, std::string message) {
    outcome.result = result;
    outcome.error = api::ErrorBody{"E_UNHEALTHY", std::move(message),
                                   fmt::format("holdfast show {}", generation)};
  };
  if (item->result == "failed" || item->result == "rolled_back")
    failed(status.generation == 0 ? api::OutcomeResult::failed : api::OutcomeResult::rolled_back,
           item->reason.empty() ? fmt::format("generation {} failed", generation) : item->reason);
  else if (item->result == "good" && status.generation != generation)
    failed(api::OutcomeResult::rolled_back,
           fmt::format("generation {} did not become current; generation {} is", generation,
                       status.generation));
  return outcome;
}

Result<Ended> wait_for_end(AgentClient& agent, const Clock& clock, const WaitFor& wanted,
                           ProgressPrinter& printer) {
  return Waiter{agent, clock, wanted, printer}.run();
}

}  // namespace holdfast::agent::cli
