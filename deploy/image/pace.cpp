#include "deploy/image/pace.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

namespace holdfast::deploy::image {

Result<os::UniqueFd> make_pace() {
  os::UniqueFd fd{memfd_create("holdfast-pace", MFD_CLOEXEC)};
  if (!fd || ftruncate(fd.get(), kPaceBytes) != 0)
    return errno_error(errno, "make the memory that limits bandwidth");
  return fd;
}

}  // namespace holdfast::deploy::image
