#include "deploy/network/kernel/sysctl.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>

#include "common/base/text.hpp"
#include "common/os/file.hpp"

namespace holdfast::deploy::network {
namespace {

std::string path_of(std::string_view name) { return fmt::format("/proc/sys/{}", name); }

}  // namespace

Result<std::string> read_sysctl(std::string_view name) {
  HF_ASSIGN(const auto fd, os::open_file(path_of(name), O_RDONLY));
  char buffer[64];
  const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
  if (got < 0) return errno_error(errno, fmt::format("read {}", path_of(name)));
  return std::string{trim(std::string_view{buffer, static_cast<std::size_t>(got)})};
}

Status ensure_sysctl(std::string_view name, std::string_view value) {
  const auto have = read_sysctl(name);
  if (have && *have == value) return ok();
  std::string dotted{name};
  std::replace(dotted.begin(), dotted.end(), '/', '.');
  const auto write = [&]() -> Status {
    HF_ASSIGN(const auto fd, os::open_file(path_of(name), O_WRONLY));
    return os::write_all(fd.get(), value);
  };
  if (auto wrote = write(); !wrote) {
    return std::move(wrote)
        .error()
        .in(fmt::format("set {} to {}", dotted, value))
        .hint(fmt::format("run: sysctl -w {}={}", dotted, value));
  }
  return ok();
}

}  // namespace holdfast::deploy::network
