#include "common/os/host_identity.hpp"

#include <sys/utsname.h>

#include "common/os/file.hpp"

namespace holdfast::os {

std::string host_name() {
  utsname names{};
  return ::uname(&names) == 0 && names.nodename[0] != '\0' ? names.nodename : "localhost";
}

std::string host_identity() {
  constexpr std::size_t kMostBytes = 256;
  const auto id = read_file("/etc/machine-id", kMostBytes);
  return (id ? *id : std::string{}) + host_name();
}

}  // namespace holdfast::os
