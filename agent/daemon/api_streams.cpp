// Handlers whose answer goes on: events and logs.
#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "agent/daemon/api.hpp"
#include "common/base/text.hpp"
#include "common/log/log.hpp"
#include "common/os/fair_mutex.hpp"
#include "proto/api/codec.hpp"

namespace holdfast::agent::daemon {
namespace {

namespace api = proto::api;
namespace runtime = deploy::runtime;

constexpr std::size_t kEventsAtOnce = 8;
constexpr std::size_t kEventBytesAtOnce = 16U << 10;
constexpr std::size_t kLogBuffer = 32U << 10;

std::string sse_text(const api::Event& event) {
  return fmt::format("id: {}\nevent: {}\ndata: {}\n\n", event.number, event.kind,
                     api::encode(event));
}

/// Where one reader of the events is.
struct EventCursor {
  deploy::engine::EventLog& log;
  std::uint64_t after;
  std::vector<std::string> kinds;  ///< empty: all
  bool follow;

  std::optional<std::string> next() {
    std::string text;
    for (;;) {
      const auto events = log.after(after, kEventsAtOnce);
      for (const auto& event : events) {
        after = event.number;
        if (kinds.empty() || std::find(kinds.begin(), kinds.end(), event.kind) != kinds.end())
          text += sse_text(event);
      }
      if (text.size() >= kEventBytesAtOnce) return text;
      if (events.empty() && !text.empty()) return text;
      if (events.empty()) return follow ? std::optional{text} : std::nullopt;
    }
  }
};

/// Lines on their way from a job thread to the io thread; the job waits while the client is slow.
class LogPipe {
 public:
  enum class Pushed : std::uint8_t { appended, first, nobody_reads };

  /// `turn` is unlocked while it waits for room. `first`: the io thread has to hear of it.
  Pushed push(std::string_view line, os::FairMutex& turn) {
    std::unique_lock lock{mutex_};
    if (!has_room()) {
      turn.unlock();
      room_.wait(lock, [this] { return has_room(); });
      lock.unlock();  // who has the turn may want to push
      turn.lock();
      lock.lock();
    }
    if (closed_) return Pushed::nobody_reads;
    const bool first = text_.empty();
    text_.append(line).append("\n");
    return first ? Pushed::first : Pushed::appended;
  }
  void finish() {
    const std::lock_guard lock{mutex_};
    finished_ = true;
  }
  void close() {
    const std::lock_guard lock{mutex_};
    closed_ = true;
    room_.notify_all();
  }
  std::optional<std::string> take() {
    const std::lock_guard lock{mutex_};
    if (text_.empty() && finished_) return std::nullopt;
    room_.notify_all();
    return std::exchange(text_, {});
  }

 private:
  [[nodiscard]] bool has_room() const { return closed_ || text_.size() < kLogBuffer; }

  std::mutex mutex_;
  std::condition_variable room_;
  std::string text_;
  bool finished_ = false;
  bool closed_ = false;
};

struct LogJob {
  ExchangePtr exchange;
  Answerer<api::Op<"logs">> answer;
  LogRead read;
  runtime::LogQuery query;
  std::shared_ptr<LogPipe> pipe = std::make_shared<LogPipe>();
  std::stop_source gone{};  ///< the client went, or the daemon stops

  void run(const std::stop_token& stop) {
    const std::stop_callback on_stop{stop, [this] {
                                       gone.request_stop();
                                       pipe->close();
                                     }};
    auto first = query;  // is there such a service? The answer cannot be taken back once the stream
                         // has begun.
    first.follow = runtime::Follow::no;
    first.since.reset();
    first.tail.reset();
    if (auto found = read(
            first, [](const runtime::LogLine&) { return false; }, gone.get_token());
        !found)
      return answer(found.error());
    answer.stream([held = pipe] { return held->take(); }, "");
    const auto done = read(
        query, [this](const runtime::LogLine& line) { return take(line); }, gone.get_token());
    if (!done && done.error().code() != Errc::cancelled)
      log::warn("event=log_read_failed service={} error={}", query.service.str(),
                log::field(done.error().to_string()));
    pipe->finish();
    exchange->poke();
  }

  bool take(const runtime::LogLine& line) {
    const api::LogLine message{to_rfc3339(line.time),
                               line.is_stderr ? api::LogOrigin::err : api::LogOrigin::out,
                               line.text, line.partial};
    const auto pushed = pipe->push(api::encode(message), *query.turn);
    if (pushed == LogPipe::Pushed::first) exchange->poke();
    return pushed != LogPipe::Pushed::nobody_reads;
  }
};

Result<runtime::LogQuery> log_query(const std::string& service, const api::LogsQuery& asked) {
  runtime::LogQuery query;
  query.service = proto::ServiceName{service};
  query.follow = asked.follow ? runtime::Follow::yes : runtime::Follow::no;
  query.tail = asked.tail;
  if (asked.since.empty()) return query;
  auto time = parse_rfc3339(asked.since);
  if (!time) return std::move(time).error().in("since");
  query.since = *time;
  return query;
}

bool is_service_name(std::string_view name) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789-";
  return !name.empty() && name.size() <= 63 && name.front() != '-' &&
         name.find_first_not_of(kAllowed) == std::string_view::npos;
}

}  // namespace

void Api::handle(const CallOf<"events">& call) {
  auto& log = parts_.engine.events();
  Result<std::uint64_t> after = call.asked.after;
  if (const auto& last = call.request().last_event_id) after = parse_number(*last);
  if (!after) return call.answer(after.error());
  // A number from an earlier life of the agent: everything since its start is new.
  const auto cursor = std::make_shared<EventCursor>(
      EventCursor{log, *after > log.last() ? 0 : *after, {}, call.asked.follow});
  for (const auto kind : split(call.asked.kind, ',')) {
    if (!kind.empty()) cursor->kinds.emplace_back(kind);
  }
  if (call.asked.follow) {
    const auto token = log.subscribe([weak = std::weak_ptr{call.exchange}] {
      if (const auto exchange = weak.lock()) exchange->poke();
    });
    call.exchange->on_close([&log, token] { log.unsubscribe(token); });
  }
  call.answer.stream([cursor] { return cursor->next(); }, ": still here\n\n");
}

void Api::handle(const CallOf<"logs">& call) {
  if (!is_service_name(call.argument))
    return call.answer(Error{
        Errc::usage, fmt::format("\"{}\" is not a name of a service", printable(call.argument))});
  auto query = log_query(call.argument, call.asked);
  if (!query) return call.answer(query.error());
  query->turn = &log_turn_;
  const auto job = std::make_shared<LogJob>(
      LogJob{call.exchange, call.answer, parts_.read_logs, std::move(query).value()});
  call.exchange->on_close([pipe = job->pipe, gone = job->gone]() mutable {
    gone.request_stop();
    pipe->close();
  });
  auto started = log_jobs_.start(call.request(), call.role,
                                 [job](const std::stop_token& stop) { job->run(stop); });
  if (!started) call.answer(started.error());
}

}  // namespace holdfast::agent::daemon
