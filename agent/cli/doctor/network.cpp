// Registries: whether something answers on their port. Credentials and certificates are tried by
// the pull itself.
#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <memory>

#include "agent/cli/doctor/checks.hpp"
#include "common/base/text.hpp"
#include "common/os/unique_fd.hpp"

namespace holdfast::agent::cli {
namespace {

constexpr Milliseconds kPatience{3'000};

struct Endpoint {
  std::string host;
  std::string port;
};

Endpoint endpoint_of(std::string_view registry, std::string_view default_port) {
  const auto colon = registry.rfind(':');
  const bool has_port =
      colon != std::string_view::npos && registry.find(']', colon) == std::string_view::npos;
  auto host = has_port ? registry.substr(0, colon) : registry;
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return {std::string{host}, std::string{has_port ? registry.substr(colon + 1) : default_port}};
}

Status connect_within(const addrinfo& address, BootTime deadline, const Clock& clock) {
  os::UniqueFd fd{::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!fd) return errno_error(errno, "make a socket");
  if (::connect(fd.get(), address.ai_addr, address.ai_addrlen) == 0) return ok();
  if (errno != EINPROGRESS) return errno_error(errno, "connect");
  pollfd wait{fd.get(), POLLOUT, 0};
  const auto left = std::chrono::ceil<Milliseconds>(deadline - clock.boot()).count();
  if (::poll(&wait, 1, static_cast<int>(std::max<Milliseconds::rep>(left, 0))) != 1)
    return Error{Errc::timed_out, fmt::format("no answer within {} s", kPatience.count() / 1000)};
  int failed = 0;
  socklen_t size = sizeof(failed);
  ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &failed, &size);
  return failed == 0 ? ok() : Status{errno_error(failed, "connect")};
}

Status reach(const Endpoint& endpoint, const Clock& clock) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* raw = nullptr;
  if (const int failed = ::getaddrinfo(endpoint.host.c_str(), endpoint.port.c_str(), &hints, &raw);
      failed != 0)
    return Error{Errc::unreachable,
                 fmt::format("look up {}: {}", endpoint.host, ::gai_strerror(failed))};
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses{raw, &::freeaddrinfo};
  const auto deadline = clock.boot() + kPatience;
  Status last = Error{Errc::unreachable, "no address"};
  for (const auto* address = addresses.get(); address != nullptr; address = address->ai_next) {
    last = connect_within(*address, deadline, clock);
    if (last) return last;
  }
  return last;
}

}  // namespace

Findings check_registries(const proto::AgentConfig& config, const std::vector<std::string>& images,
                          const Clock& clock) {
  std::map<std::string, std::string> ports;  // registry → its port when it names none
  for (const auto& [name, registry] : config.registries)
    ports[name] = registry.plain_http ? "80" : "443";
  for (const auto& image : images) {
    const auto slash = image.find('/');
    const auto name = image.substr(0, slash);
    const bool is_registry = slash != std::string::npos &&
                             (name.find_first_of(".:") != std::string::npos || name == "localhost");
    if (is_registry) ports.try_emplace(name, "443");
  }
  Findings findings;
  for (const auto& [name, port] : ports) {
    const auto answered = reach(endpoint_of(name, port), clock);
    findings.push_back(
        answered
            ? Finding{"registry", Verdict::ok, name + " answers", {}}
            : Finding{"registry", Verdict::fail,
                      fmt::format("{}: {}", name, answered.error().what()),
                      "check address, firewall and proxy; what runs and rollback do not need it"});
  }
  if (findings.empty())
    findings.push_back({"registry", Verdict::ok, "none is configured and none is in use", {}});
  return findings;
}

}  // namespace holdfast::agent::cli
