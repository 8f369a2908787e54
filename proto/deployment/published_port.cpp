#include <fmt/format.h>

#include <array>

#include "common/base/text.hpp"
#include "proto/deployment/rules.hpp"
#include "proto/yaml/scalars.hpp"

namespace holdfast::proto::rules {
namespace {

Error bad(std::string message, std::string hint) {
  return Error{Errc::spec_parse, std::move(message)}.hint(hint);
}

constexpr int kMostOfRange = 1024;  ///< each is a socket of the agent
constexpr std::string_view kForms = "write \"80:8080\" or \"127.0.0.1:80:8080/tcp\"";

Result<Transport> parse_transport(std::string_view text) {
  if (text == "tcp") return Transport::tcp;
  if (text == "udp") return Transport::udp;
  return bad(fmt::format("has the protocol \"{}\", but must be tcp or udp", yaml::shown(text)), "");
}

struct PortRange {
  std::uint16_t first = 0;
  std::uint16_t last = 0;  ///< at least `first`
  [[nodiscard]] int size() const { return last - first + 1; }
};

/// "80" or "8000-8010".
Result<PortRange> port_range(std::string_view text, std::string_view which) {
  const auto dash = text.find('-');
  const auto first = parse_port(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : parse_port(text.substr(dash + 1));
  if (!first || !last)
    return bad(fmt::format("has the {} port \"{}\", which is not between 1 and 65535", which,
                           yaml::shown(text)),
               std::string{kForms});
  if (*last < *first)
    return bad(fmt::format("has the range {}, which ends before it begins", yaml::shown(text)), "");
  return PortRange{.first = *first, .last = *last};
}

/// Empty for every address of the host.
Result<std::string> host_address(std::string_view text) {
  if (text == "0.0.0.0") return std::string{};
  if (parse_ipv4(text)) return std::string{text};
  return bad(fmt::format("has the address \"{}\", which is not an IPv4 address", yaml::shown(text)),
             text == "localhost" ? "write 127.0.0.1" : std::string{kForms});
}

}  // namespace

std::optional<std::uint32_t> parse_ipv4(std::string_view text) {
  const auto parts = split(text, '.');
  if (parts.size() != 4) return std::nullopt;
  std::uint32_t address = 0;
  for (const auto part : parts) {
    const auto number = yaml::parse_integer(part);
    if (!number || *number > 255) return std::nullopt;
    address = (address << 8) | static_cast<std::uint32_t>(*number);
  }
  return address;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  const auto number = yaml::parse_integer(text);
  if (!number || *number < 1 || *number > 65535) return std::nullopt;
  return static_cast<std::uint16_t>(*number);
}

Result<std::vector<PublishedPort>> parse_published(std::string_view text) {
  PublishedPort port;
  const auto slash = text.find('/');
  if (slash != std::string_view::npos) {
    HF_ASSIGN(port.transport, parse_transport(text.substr(slash + 1)));
  }
  const auto place = text.substr(0, slash);
  if (place.find('[') != std::string_view::npos || place.find("::") != std::string_view::npos)
    return bad("has an IPv6 address, and ports are published on IPv4 only",
               "write 127.0.0.1, another IPv4 address, or none for all of them");
  const auto parts = split(place, ':');
  if (parts.size() < 2 || parts.size() > 3)
    return bad(fmt::format("is \"{}\", not host port and container port", yaml::shown(text)),
               parts.size() == 1 && parse_port(parts[0])
                   ? fmt::format("write \"{0}:{0}\"", parts[0])
                   : std::string{kForms});
  if (parts.size() == 3) {
    HF_ASSIGN(port.host_ip, host_address(parts[0]));
  }
  HF_ASSIGN(const auto on_host, port_range(parts[parts.size() - 2], "host"));
  HF_ASSIGN(const auto inside, port_range(parts.back(), "container"));
  if (on_host.size() != inside.size())
    return bad(
        fmt::format("has {} host ports and {} container ports", on_host.size(), inside.size()),
        "write ranges of the same length: \"8000-8010:9000-9010\"");
  if (on_host.size() > kMostOfRange)
    return bad(fmt::format("has a range of {} ports, more than {}", on_host.size(), kMostOfRange),
               "each is reserved on the host; use network: host for that many");
  std::vector<PublishedPort> ports;
  for (int i = 0; i < on_host.size(); ++i) {
    port.host_port = static_cast<std::uint16_t>(on_host.first + i);
    port.container_port = static_cast<std::uint16_t>(inside.first + i);
    ports.push_back(port);
  }
  return ports;
}

std::string to_string(const PublishedPort& port) {
  return fmt::format("{}{}{}:{}/{}", port.host_ip, port.host_ip.empty() ? "" : ":", port.host_port,
                     port.container_port, port.transport == Transport::tcp ? "tcp" : "udp");
}

}  // namespace holdfast::proto::rules
