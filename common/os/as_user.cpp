#include "common/os/as_user.hpp"

#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace holdfast::os {
namespace {

/// glibc's setgroups changes every thread of the process; the system call only this one.
bool set_groups(const std::vector<gid_t>& groups) {
  return ::syscall(SYS_setgroups, groups.size(), groups.data()) == 0;
}

/// The rights the thread had before; gives them back.
class Former {
 public:
  Former() : groups_(static_cast<std::size_t>(std::max(::getgroups(0, nullptr), 0))) {
    const int count = ::getgroups(static_cast<int>(groups_.size()), groups_.data());
    groups_.resize(static_cast<std::size_t>(std::max(count, 0)));
  }
  ~Former() {
    ::setfsuid(::geteuid());
    ::setfsgid(::getegid());
    (void)set_groups(groups_);
  }
  Former(const Former&) = delete;
  Former& operator=(const Former&) = delete;

 private:
  std::vector<gid_t> groups_;
};

}  // namespace

Status as_user(const FileUser& user, const std::function<Status()>& work) {
  if (user.uid == ::geteuid()) return work();
  const Former former;
  if (!set_groups(user.groups)) return errno_error(errno, "take the groups of another user");
  ::setfsgid(user.gid);
  ::setfsuid(user.uid);
  // Both say only what was before: asking again tells whether it worked.
  if (static_cast<uid_t>(::setfsuid(static_cast<uid_t>(-1))) != user.uid ||
      static_cast<gid_t>(::setfsgid(static_cast<gid_t>(-1))) != user.gid)
    return Error{Errc::perm, "the agent cannot take the file rights of another user"}.hint(
        "run holdfastd as root");
  return work();
}

}  // namespace holdfast::os
