#include "common/log/log.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <memory>

#include "common/base/text.hpp"

namespace holdfast::log {
namespace {

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warn:
      return spdlog::level::warn;
    case Level::error:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

/// sd-daemon(3) priorities, understood by journald on a stream.
const char* priority(Level level) {
  switch (level) {
    case Level::debug:
      return "<7>";
    case Level::info:
      return "<6>";
    case Level::warn:
      return "<4>";
    case Level::error:
      return "<3>";
  }
  return "<3>";
}

struct Sink {
  std::shared_ptr<spdlog::logger> logger = std::make_shared<spdlog::logger>(
      "holdfast", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  bool journal = false;
};

Sink& sink() {
  static Sink instance;
  return instance;
}

}  // namespace

void start(Level lowest) {
  sink().journal = std::getenv("JOURNAL_STREAM") != nullptr;
  sink().logger->set_level(to_spdlog(lowest));
  sink().logger->set_pattern(sink().journal ? "%v" : "%Y-%m-%dT%H:%M:%S.%eZ %l %v",
                             spdlog::pattern_time_type::utc);
  sink().logger->flush_on(spdlog::level::info);
}

bool enabled(Level level) { return sink().logger->should_log(to_spdlog(level)); }

void write(Level level, std::string_view line) {
  if (sink().journal) {
    sink().logger->log(to_spdlog(level), "{}{}", priority(level), line);
  } else {
    sink().logger->log(to_spdlog(level), "{}", line);
  }
}

std::string field(std::string_view value) {
  std::string text = printable(value);
  if (text.find_first_of(" \"=") == std::string::npos && !text.empty()) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '\\';
    quoted += c;
  }
  return quoted += '"';
}

}  // namespace holdfast::log
