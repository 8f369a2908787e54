#include "deploy/fetch/bandwidth_limit.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "proto/worker/fetch.hpp"

namespace holdfast::deploy::fetch {

Result<os::UniqueFd> make_bandwidth_limit() {
  os::UniqueFd fd{memfd_create("holdfast-bandwidth", MFD_CLOEXEC)};
  if (!fd || ftruncate(fd.get(), proto::worker::kBandwidthBytes) != 0)
    return errno_error(errno, "make the memory that limits bandwidth");
  return fd;
}

}  // namespace holdfast::deploy::fetch
