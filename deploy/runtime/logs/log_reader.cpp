#include "deploy/runtime/logs/log_reader.hpp"

#include <fmt/format.h>

#include <deque>
#include <filesystem>
#include <map>

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

/// Everything that is there now, the last `tail` of it.
Outcome replay(Streams& streams, const LogQuery& query, Unfinished unfinished, const LogSink& sink,
               const std::stop_token& stop) {
  std::deque<LogLine> kept;
  auto outcome = Outcome::quiet;
  const auto next = [&] {
    auto line = streams.next();
    return line || unfinished == Unfinished::wait ? std::move(line) : streams.next_unfinished();
  };
  while (auto line = next()) {
    if (stop.stop_requested()) return Outcome::ended;
    outcome = Outcome::drained;
    if (query.since && line->time < *query.since) continue;
    if (!query.tail) {
      if (!sink(*line)) return Outcome::ended;
      continue;
    }
    kept.push_back(std::move(*line));
    if (kept.size() > *query.tail) kept.pop_front();
  }
  for (const auto& line : kept)
    if (!sink(line)) return Outcome::ended;
  return outcome;
}

}  // namespace

Status LogReader::read(const LogQuery& query, const LogSink& sink,
                       const std::stop_token& stop) const {
  const auto& name = query.service.str();
  if (name.empty() || name.find('/') != std::string::npos || name.front() == '.')
    return Error{Errc::usage, fmt::format("{} is not a service name", printable(name))};
  Streams streams{logs_ / name};
  streams.look();
  const bool follow = query.follow == Follow::yes;
  if (streams.empty() && !follow)
    return Error{Errc::not_found,
                 fmt::format("service {} has written nothing here", printable(name))}
        .hint("see: holdfast status");
  auto outcome = replay(streams, query, follow ? Unfinished::wait : Unfinished::give, sink, stop);
  if (outcome == Outcome::ended || !follow) return ok();
  const LogQuery rest{
      .service = query.service, .since = query.since, .tail = {}, .follow = Follow::yes};
  while (os::sleep_until(SystemClock{}.boot() + kPoll, stop)) {
    streams.look();
    // A prompt without a newline is shown once nothing more has come for a while.
    const auto unfinished = outcome == Outcome::quiet ? Unfinished::give : Unfinished::wait;
    outcome = replay(streams, rest, unfinished, sink, stop);
    if (outcome == Outcome::ended) return ok();
  }
  return ok();
}

}  // namespace holdfast::deploy::runtime
