// Routes whose answer goes on: events and logs.
#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "agent/daemon/api_call.hpp"
#include "common/base/text.hpp"
#include "common/log/log.hpp"
#include "proto/api/codec.hpp"

namespace holdfast::agent::daemon {
namespace {

namespace api = proto::api;
namespace runtime = deploy::runtime;

constexpr std::size_t kEventsAtOnce = 64;
constexpr std::size_t kLogBuffer = 256U << 10;

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
      if (!text.empty()) return text;
      if (events.empty()) return follow ? std::optional{text} : std::nullopt;
    }
  }
};

/// Lines on their way from a job thread to the io thread; the job waits while the client is slow.
class LogPipe {
 public:
  /// False when nobody reads any more.
  bool push(std::string_view line) {
    std::unique_lock lock{mutex_};
    room_.wait(lock, [this] { return closed_ || text_.size() < kLogBuffer; });
    if (closed_) return false;
    text_.append(line).append("\n");
    return true;
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
  std::mutex mutex_;
  std::condition_variable room_;
  std::string text_;
  bool finished_ = false;
  bool closed_ = false;
};

struct LogJob {
  ExchangePtr exchange;
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
      return exchange->respond(found.error());
    exchange->stream({"application/x-ndjson", [held = pipe] { return held->take(); }, ""});
    const auto done = read(
        query, [this](const runtime::LogLine& line) { return take(line); }, gone.get_token());
    if (!done && done.error().code() != Errc::cancelled)
      log::warn("event=log_read_failed service={} error={}", query.service.str(),
                log::field(done.error().to_string()));
    pipe->finish();
    exchange->poke();
  }

  bool take(const runtime::LogLine& line) {
    const api::LogLine message{to_rfc3339(line.time), line.is_stderr ? "stderr" : "stdout",
                               line.text, line.partial};
    if (!pipe->push(api::encode(message))) return false;
    exchange->poke();
    return true;
  }
};

Result<runtime::LogQuery> log_query(const std::string& service, const std::string& since,
                                    const std::string& tail, bool follow) {
  runtime::LogQuery query;
  query.service = proto::ServiceName{service};
  query.follow = follow ? runtime::Follow::yes : runtime::Follow::no;
  if (!since.empty()) {
    auto time = parse_rfc3339(since);
    if (!time) return std::move(time).error().in("since");
    query.since = *time;
  }
  if (!tail.empty()) {
    auto lines = parse_number(tail);
    if (!lines) return std::move(lines).error().in("tail");
    query.tail = *lines;
  }
  return query;
}

bool is_service_name(std::string_view name) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789-";
  return !name.empty() && name.size() <= 63 && name.front() != '-' &&
         name.find_first_not_of(kAllowed) == std::string_view::npos;
}

}  // namespace

void Api::events(const Call& call) {
  auto& log = parts_.engine.events();
  auto after = call.number("after", 0);
  if (after && call.request().last_event_id) after = parse_number(*call.request().last_event_id);
  if (!after) return call.exchange->respond(after.error());
  const auto follow = call.flag("follow");
  if (!follow) return call.exchange->respond(follow.error());
  // A number from an earlier life of the agent: everything since its start is new.
  const auto cursor = std::make_shared<EventCursor>(
      EventCursor{log, *after > log.last() ? 0 : *after, {}, *follow});
  for (const auto kind : split(call.text("kind"), ',')) {
    if (!kind.empty()) cursor->kinds.emplace_back(kind);
  }
  if (*follow) {
    const auto token = log.subscribe([weak = std::weak_ptr{call.exchange}] {
      if (const auto exchange = weak.lock()) exchange->poke();
    });
    call.exchange->on_close([&log, token] { log.unsubscribe(token); });
  }
  call.exchange->stream(
      {"text/event-stream", [cursor] { return cursor->next(); }, ": still here\n\n"});
}

void Api::logs(const Call& call) {
  if (!is_service_name(call.argument))
    return call.exchange->respond(Error{
        Errc::usage, fmt::format("\"{}\" is not a name of a service", printable(call.argument))});
  const auto follow = call.flag("follow");
  if (!follow) return call.exchange->respond(follow.error());
  auto query = log_query(call.argument, call.text("since"), call.text("tail"), *follow);
  if (!query) return call.exchange->respond(query.error());
  const auto job =
      std::make_shared<LogJob>(LogJob{call.exchange, parts_.read_logs, std::move(query).value()});
  call.exchange->on_close([pipe = job->pipe, gone = job->gone]() mutable {
    gone.request_stop();
    pipe->close();
  });
  if (!log_jobs_.start([job](const std::stop_token& stop) { job->run(stop); }))
    call.exchange->respond(Error{Errc::busy, "8 requests read logs already"}.hint(
        "end one of them, or read the files in the state directory"));
}

}  // namespace holdfast::agent::daemon
