#include "deploy/probe/prober.hpp"

#include <fmt/format.h>
#include <strings.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "common/base/text.hpp"
#include "common/url/url.hpp"
#include "deploy/probe/connection.hpp"
#include "deploy/probe/http_reader.hpp"

namespace holdfast::deploy::probe {
namespace {

using Why = Interrupted::Why;

std::string endpoint_text(std::uint32_t address, std::uint16_t port) {
  return fmt::format("{}.{}.{}.{}:{}", address >> 24, (address >> 16) & 255, (address >> 8) & 255,
                     address & 255, port);
}

/// "Connection refused" as the rest of our texts: lower case.
std::string errno_text(int error) {
  std::string text = std::strerror(error);
  if (!text.empty() && text.front() >= 'A' && text.front() <= 'Z')
    text.front() = static_cast<char>(text.front() + ('a' - 'A'));
  return text;
}

Outcome interrupted(std::string_view doing, const Interrupted& early, Milliseconds timeout) {
  switch (early.why) {
    case Why::timed_out:
      return {Verdict::timeout,
              fmt::format("{}: no answer within {}", doing, human_duration(timeout)),
              {}};
    case Why::stopped:
      return {Verdict::failure, fmt::format("{}: stopped", doing), {}};
    case Why::failed:
      break;
  }
  return {Verdict::failure, fmt::format("{}: {}", doing, errno_text(early.error)), {}};
}

/// Measures what `work` takes.
template <class Work>
Outcome timed(Milliseconds timeout, Work work) {
  const SystemClock clock;
  const auto start = clock.boot();
  Outcome outcome = work(start + timeout);
  outcome.duration = std::chrono::duration_cast<std::chrono::microseconds>(clock.boot() - start);
  return outcome;
}

/// A request target must not hold what would end the line or start another one.
std::string request_target(std::string_view path) {
  return (path.starts_with('/') ? "" : "/") + url::encode(path, url::Plain::printable);
}

/// The document's headers come in place of ours; names are the same in any case (RFC 9110, 5.1).
std::string request_text(const proto::HttpProbe& probe, const std::string& target,
                         const std::string& host) {
  std::string text = fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\n", target, host);
  const auto given = [&](std::string_view name) {
    return std::any_of(probe.headers.begin(), probe.headers.end(), [&](const auto& header) {
      return header.first.size() == name.size() &&
             ::strncasecmp(header.first.data(), name.data(), name.size()) == 0;
    });
  };
  if (!given("User-Agent")) text += "User-Agent: holdfast-probe/" HOLDFAST_VERSION "\r\n";
  if (!given("Accept")) text += "Accept: */*\r\n";
  for (const auto& [name, value] : probe.headers) text += fmt::format("{}: {}\r\n", name, value);
  return text + "Connection: close\r\n\r\n";
}

Outcome judge(const proto::HttpProbe& probe, const HttpReader& reader, const std::string& doing) {
  const int status = *reader.status();
  const bool good_status = probe.status ? status == *probe.status : status >= 200 && status <= 399;
  if (!good_status) {
    const auto wanted = probe.status ? fmt::format(", not {}", *probe.status) : std::string{};
    return {Verdict::failure, fmt::format("{} → {}{}", doing, status, wanted), {}};
  }
  if (probe.body && reader.body().find(*probe.body) == std::string::npos)
    return {Verdict::failure,
            fmt::format("{} → {}, but \"{}\" is not in the body", doing, status,
                        printable(*probe.body)),
            {}};
  return {Verdict::success, fmt::format("{} → {}", doing, status), {}};
}

}  // namespace

Outcome probe_http(const proto::HttpProbe& probe, std::uint32_t address, Milliseconds timeout,
                   const std::stop_token& stop) {
  return timed(timeout, [&](BootTime deadline) -> Outcome {
    const auto target = request_target(probe.path);
    const auto doing = fmt::format("GET :{}{}", probe.port, target);
    const auto to = endpoint_text(address, probe.port);
    Connection connection{deadline, stop};
    if (const auto early = connection.begin(address, probe.port))
      return interrupted("connect " + to, *early, timeout);
    const auto request = request_text(probe, target, probe.host.empty() ? to : probe.host);
    if (const auto early = connection.send_all(request))
      return interrupted(connection.connected() ? doing : "connect " + to, *early, timeout);
    HttpReader reader;
    const auto enough = [&] {
      const bool has_status = reader.state() == HttpReader::State::body && !probe.body;
      return has_status || reader.state() == HttpReader::State::done ||
             reader.state() == HttpReader::State::broken;
    };
    while (!enough()) {
      std::string piece;
      bool closed = false;
      if (const auto early = connection.receive(piece, closed))
        return interrupted(doing, *early, timeout);
      reader.feed(piece);
      if (closed) reader.end();
    }
    if (reader.state() == HttpReader::State::broken)
      return {Verdict::failure, fmt::format("{}: {}", doing, reader.fault()), {}};
    return judge(probe, reader, doing);
  });
}

std::string output_text(std::string_view output) {
  constexpr std::size_t kMost = 200;
  std::string text;
  for (const auto line : split(output.substr(0, 4 * kMost), '\n')) {
    if (trim(line).empty()) continue;
    text += fmt::format("{}{}", text.empty() ? "" : " / ", trim(line));
  }
  if (text.size() > kMost) {
    std::size_t end = kMost;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
    text = text.substr(0, end) + "…";
  }
  return text.empty() ? text : ": " + printable(text);
}

Outcome probe_tcp(const proto::TcpProbe& probe, std::uint32_t address, Milliseconds timeout,
                  const std::stop_token& stop) {
  return timed(timeout, [&](BootTime deadline) -> Outcome {
    const auto doing = "connect " + endpoint_text(address, probe.port);
    Connection connection{deadline, stop};
    if (const auto early = connection.connect(address, probe.port))
      return interrupted(doing, *early, timeout);
    return {Verdict::success, doing, {}};
  });
}

}  // namespace holdfast::deploy::probe
