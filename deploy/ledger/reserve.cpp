#include "deploy/ledger/reserve.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/os/file.hpp"

namespace holdfast::deploy::ledger {
namespace {
constexpr off_t kSize = 1 << 20;
}

void Reserve::ensure() {
  struct stat info {};
  if (::stat(path_.c_str(), &info) == 0 && info.st_size == kSize) return;
  struct statvfs space {};
  if (::statvfs(path_.parent_path().c_str(), &space) != 0) return;
  if (static_cast<off_t>(space.f_bavail * space.f_frsize) < 4 * kSize) return;
  const auto fd = os::open_file(path_, O_RDWR | O_CREAT, 0600);
  if (!fd || ::posix_fallocate(fd->get(), 0, kSize) != 0) ::unlink(path_.c_str());
}

bool Reserve::give_up() { return ::unlink(path_.c_str()) == 0; }

}  // namespace holdfast::deploy::ledger
