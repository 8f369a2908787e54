#include "agent/cli/client/sse.hpp"

#include <utility>

namespace holdfast::agent::cli {
namespace {

constexpr std::size_t kLimit = 4U << 20;

Error too_long() { return Error{Errc::too_large, "the agent sent a line of more than 4 MiB"}; }

}  // namespace

Result<std::vector<ServerEvent>> SseParser::feed(std::string_view piece) {
  std::vector<ServerEvent> done;
  for (const char c : piece) {
    const bool second_of_pair = std::exchange(after_cr_, c == '\r') && c == '\n';
    if (second_of_pair) continue;
    if (c == '\n' || c == '\r') {
      take_line(std::exchange(line_, {}), done);
      continue;
    }
    line_ += c;
    if (line_.size() + event_.data.size() > kLimit) return too_long();
  }
  return done;
}

void SseParser::take_line(std::string_view line, std::vector<ServerEvent>& done) {
  if (line.empty()) {
    auto event = std::exchange(event_, {});
    if (!std::exchange(has_data_, false)) return;
    event.id = last_id_;
    if (event.kind.empty()) event.kind = "message";
    done.push_back(std::move(event));
    return;
  }
  const auto colon = line.find(':');
  const auto field = line.substr(0, colon);
  auto value = colon == std::string_view::npos ? std::string_view{} : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "data") {
    if (has_data_) event_.data += '\n';
    event_.data += value;
    has_data_ = true;
  } else if (field == "event") {
    event_.kind = value;
  } else if (field == "id") {
    last_id_ = value;
  }
}

Result<std::vector<std::string>> LineParser::feed(std::string_view piece) {
  std::vector<std::string> lines;
  while (!piece.empty()) {
    const auto end = piece.find('\n');
    line_ += piece.substr(0, end);
    if (line_.size() > kLimit) return too_long();
    if (end == std::string_view::npos) break;
    lines.push_back(std::exchange(line_, {}));
    piece.remove_prefix(end + 1);
  }
  return lines;
}

}  // namespace holdfast::agent::cli
