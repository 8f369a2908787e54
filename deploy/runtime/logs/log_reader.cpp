#include "deploy/runtime/logs/log_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <map>
#include <mutex>

#include "common/base/text.hpp"
#include "common/os/process.hpp"
#include "deploy/runtime/logs/log_stream.hpp"

namespace holdfast::deploy::runtime {
namespace {

constexpr Milliseconds kPoll{250};

/// All instances of one service.
class Streams {
 public:
  explicit Streams(std::filesystem::path directory) : directory_(std::move(directory)) {}

  /// What is there now, up to its end.
  void open_snapshot() {
    look();
    for (auto& [id, stream] : streams_) stream.stop_at_snapshot();
  }
  void rewind() {
    for (auto& [id, stream] : streams_) stream.rewind();
  }
  void go_on() {
    for (auto& [id, stream] : streams_) stream.go_on();
  }

  /// Takes in instances that have appeared.
  void look() {
    std::error_code bad;
    for (const auto& entry : std::filesystem::directory_iterator{directory_, bad}) {
      auto name = entry.path().filename().string();
      if (name.ends_with(".1")) name.resize(name.size() - 2);
      if (!name.ends_with(".log")) continue;
      InstanceId id{name.substr(0, name.size() - 4)};
      streams_.try_emplace(id, id, directory_ / name);
    }
  }
  [[nodiscard]] bool empty() const { return streams_.empty(); }

  /// The oldest line that is there.
  std::optional<LogLine> next() {
    LogStream* oldest = nullptr;
    for (auto& [id, stream] : streams_) {
      const auto* line = stream.peek();
      if (line != nullptr && (oldest == nullptr || line->time < oldest->peek()->time))
        oldest = &stream;
    }
    return oldest == nullptr ? std::nullopt : std::optional{oldest->take()};
  }

  /// A line whose end has not come.
  std::optional<LogLine> next_unfinished() {
    for (auto& [id, stream] : streams_)
      if (auto line = stream.take_unfinished()) return line;
    return std::nullopt;
  }

 private:
  std::filesystem::path directory_;
  std::map<InstanceId, LogStream> streams_;
};

enum class Outcome : std::uint8_t { quiet, drained, ended };
enum class Unfinished : std::uint8_t { wait, give };

/// Lines in order, as far as they are asked for, in pieces between which others may work.
class Lines {
 public:
  Lines(Streams& streams, const LogQuery& query, Unfinished unfinished, std::stop_token stop)
      : streams_(streams), query_(query), unfinished_(unfinished), stop_(std::move(stop)) {}

  std::optional<LogLine> next() {
    while (!stop_.stop_requested()) {
      auto line = streams_.next();
      if (!line && unfinished_ == Unfinished::give) line = streams_.next_unfinished();
      if (!line) return std::nullopt;
      count(line->text.size());
      found_ = true;
      if (!query_.since || line->time >= *query_.since) return line;
    }
    return std::nullopt;
  }
  [[nodiscard]] bool stopped() const { return stop_.stop_requested(); }
  [[nodiscard]] Outcome outcome() const { return found_ ? Outcome::drained : Outcome::quiet; }

 private:
  void count(std::size_t bytes) {
    constexpr std::size_t kPiece = 64U << 10;
    constexpr std::size_t kLineCosts = 1U << 10;
    work_ += bytes + kLineCosts;
    if (work_ < kPiece || query_.turn == nullptr) return;
    work_ = 0;
    query_.turn->unlock();
    query_.turn->lock();
  }

  Streams& streams_;
  const LogQuery& query_;
  Unfinished unfinished_;
  std::stop_token stop_;
  std::size_t work_ = 0;
  bool found_ = false;
};

/// The last lines of what was read, as long as they are few bytes; after that only their number.
class Tail {
 public:
  explicit Tail(std::size_t lines) : most_(lines) {}

  void add(LogLine line) {
    ends_ += line.partial ? 0 : 1;
    if (overflowed_) return;
    bytes_ += line.text.size() + sizeof(LogLine);
    kept_ends_ += line.partial ? 0 : 1;
    kept_.push_back(std::move(line));
    while (!kept_.empty() && kept_ends_ > most_) drop_first();
    if (bytes_ <= kMostBytes) return;
    overflowed_ = true;
    std::deque<LogLine>{}.swap(kept_);
  }
  [[nodiscard]] const std::deque<LogLine>& kept() const { return kept_; }
  /// They have to be read once more.
  [[nodiscard]] bool overflowed() const { return overflowed_; }
  /// Lines before them.
  [[nodiscard]] std::size_t before() const { return ends_ - std::min(ends_, most_); }

 private:
  static constexpr std::size_t kMostBytes = 128U << 10;

  void drop_first() {
    bytes_ -= kept_.front().text.size() + sizeof(LogLine);
    kept_ends_ -= kept_.front().partial ? 0 : 1;
    kept_.pop_front();
  }

  std::size_t most_;
  std::deque<LogLine> kept_;
  std::size_t bytes_ = 0;
  std::size_t kept_ends_ = 0;
  std::size_t ends_ = 0;
  bool overflowed_ = false;
};

Outcome give(Lines& lines, const LogSink& sink) {
  while (auto line = lines.next())
    if (!sink(*line)) return Outcome::ended;
  return lines.stopped() ? Outcome::ended : lines.outcome();
}

/// Everything that is there now.
Outcome replay(Streams& streams, const LogQuery& query, Unfinished unfinished, const LogSink& sink,
               const std::stop_token& stop) {
  Lines lines{streams, query, unfinished, stop};
  return give(lines, sink);
}

/// The last `most` lines of a snapshot. What is more than a few is not kept but read twice.
Outcome replay_tail(Streams& streams, const LogQuery& query, Unfinished unfinished,
                    const LogSink& sink, const std::stop_token& stop) {
  Lines lines{streams, query, unfinished, stop};
  Tail tail{*query.tail};
  while (auto line = lines.next()) tail.add(std::move(*line));
  if (lines.stopped()) return Outcome::ended;
  if (!tail.overflowed()) {
    for (const auto& line : tail.kept())
      if (!sink(line)) return Outcome::ended;
    return lines.outcome();
  }
  streams.rewind();
  Lines again{streams, query, unfinished, stop};
  for (auto left = tail.before(); left > 0;) {
    const auto line = again.next();
    if (!line) break;
    left -= line->partial ? 0 : 1;
  }
  return give(again, sink);
}

/// False at the end.
bool wait_for_more(os::FairMutex* turn, const std::stop_token& stop) {
  if (turn != nullptr) turn->unlock();
  const bool goes_on = os::sleep_until(SystemClock{}.boot() + kPoll, stop);
  if (turn != nullptr) turn->lock();
  return goes_on;
}

}  // namespace

Status LogReader::read(const LogQuery& query, const LogSink& sink,
                       const std::stop_token& stop) const {
  const auto& name = query.service.str();
  if (name.empty() || name.find('/') != std::string::npos || name.front() == '.')
    return Error{Errc::usage, fmt::format("{} is not a service name", printable(name))};
  const auto turn =
      query.turn == nullptr ? std::unique_lock<os::FairMutex>{} : std::unique_lock{*query.turn};
  Streams streams{logs_ / name};
  streams.open_snapshot();
  const bool follow = query.follow == Follow::yes;
  if (streams.empty() && !follow)
    return Error{Errc::not_found,
                 fmt::format("service {} has written nothing here", printable(name))}
        .hint("see: holdfast status");
  const auto unfinished = follow ? Unfinished::wait : Unfinished::give;
  auto outcome = (query.tail ? replay_tail : replay)(streams, query, unfinished, sink, stop);
  if (outcome == Outcome::ended || !follow) return ok();
  auto rest = query;
  rest.tail.reset();
  streams.go_on();
  while (wait_for_more(query.turn, stop)) {
    streams.look();
    // A prompt without a newline is shown once nothing more has come for a while.
    const auto now = outcome == Outcome::quiet ? Unfinished::give : Unfinished::wait;
    outcome = replay(streams, rest, now, sink, stop);
    if (outcome == Outcome::ended) return ok();
  }
  return ok();
}

}  // namespace holdfast::deploy::runtime
