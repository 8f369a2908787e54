#include "deploy/runtime/spec/etc_files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <cerrno>

#include "common/base/text.hpp"
#include "common/os/file.hpp"

namespace holdfast::deploy::runtime {
namespace {

constexpr std::size_t kMaxResolv = 64U << 10;

/// Addresses that lead a container to itself, the unspecified ones included.
bool is_loopback(std::string_view server) {
  return server.starts_with("127.") || server == "::1" || server == "0.0.0.0" || server == "::" ||
         server.starts_with("::ffff:127.");
}

}  // namespace

std::string hosts_text(const HostsOwner& owner, const HostsTable& services) {
  std::string out = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n";
  const auto& self = owner.hostname;
  out += fmt::format("{} {}", owner.own == 0 ? "127.0.0.1" : plan::address_text(owner.own), self);
  const auto dot = self.find('.');
  out += dot == std::string::npos ? "\n" : fmt::format(" {}\n", self.substr(0, dot));
  for (const auto& [name, address] : owner.extra)
    out += fmt::format("{} {}\n",
                       address == proto::kHostGateway ? plan::address_text(owner.gateway) : address,
                       name);
  for (const auto& [name, address] : services)
    if (name != self && !owner.extra.contains(name))
      out += fmt::format("{} {}\n", plan::address_text(address), name);
  return out;
}

ResolvText resolv_text(std::string_view host_file) {
  ResolvText out;
  for (const auto line : split(host_file, '\n')) {
    const auto text = trim(line);
    if (text.empty() || text.front() == '#' || text.front() == ';') continue;
    if (text.starts_with("nameserver")) {
      if (is_loopback(trim(text.substr(10)))) continue;
      out.has_server = true;
    }
    out.text += fmt::format("{}\n", text);
  }
  return out;
}

ResolvText host_resolv() {
  const auto host = os::read_regular_file("/etc/resolv.conf", kMaxResolv);
  auto filtered = resolv_text(host ? *host : std::string{});
  if (filtered.has_server) return filtered;
  const auto upstream = os::read_regular_file("/run/systemd/resolve/resolv.conf", kMaxResolv);
  return upstream ? resolv_text(*upstream) : filtered;
}

std::string resolv_with(std::string_view host_file, const proto::NameRule& names) {
  std::string out;
  for (const auto& server : names.servers) out += fmt::format("nameserver {}\n", server);
  if (!names.search.empty()) out += fmt::format("search {}\n", fmt::join(names.search, " "));
  for (const auto line : split(host_file, '\n')) {
    const bool replaced =
        (!names.servers.empty() && line.starts_with("nameserver")) ||
        (!names.search.empty() && (line.starts_with("search") || line.starts_with("domain")));
    if (!line.empty() && !replaced) out += fmt::format("{}\n", line);
  }
  return out;
}

std::string resolv_for(proto::NetworkMode mode, const proto::NameRule& names) {
  if (mode == proto::NetworkMode::none) return {};
  auto text = host_resolv().text;
  if (mode == proto::NetworkMode::host)
    if (const auto host = os::read_regular_file("/etc/resolv.conf", kMaxResolv)) text = *host;
  return names.servers.empty() && names.search.empty() ? text : resolv_with(text, names);
}

Status rewrite_in_place(const std::filesystem::path& path, std::string_view content) {
  HF_ASSIGN(const auto fd, os::open_file(path, O_WRONLY | O_NOFOLLOW));
  const ssize_t wrote = ::pwrite(fd.get(), content.data(), content.size(), 0);
  if (wrote < 0) return errno_error(errno, "write " + path.string());
  if (static_cast<std::size_t>(wrote) != content.size())
    return Error{Errc::nospace, "short write to " + path.string()};
  if (::ftruncate(fd.get(), wrote) != 0) return errno_error(errno, "truncate " + path.string());
  return ok();
}

}  // namespace holdfast::deploy::runtime
