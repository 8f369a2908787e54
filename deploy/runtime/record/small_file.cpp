#include "deploy/runtime/record/small_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "common/base/text.hpp"
#include "common/os/unique_fd.hpp"

namespace holdfast::deploy::runtime {

std::optional<std::string> read_small(const char* path) {
  const os::UniqueFd fd{::open(path, O_RDONLY | O_CLOEXEC)};
  if (!fd) return std::nullopt;
  std::array<char, 4096> buffer;
  ssize_t got = 0;
  do {
    got = ::read(fd.get(), buffer.data(), buffer.size());
  } while (got < 0 && errno == EINTR);
  if (got < 0) return std::nullopt;
  return std::string{trim(std::string_view{buffer.data(), static_cast<std::size_t>(got)})};
}

}  // namespace holdfast::deploy::runtime
