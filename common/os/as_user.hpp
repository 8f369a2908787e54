#pragma once
#include <sys/types.h>

#include <functional>
#include <vector>

#include "common/base/result.hpp"

namespace holdfast::os {

/// Whose rights count for files.
struct FileUser {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;  ///< supplementary
};

/// Runs `work` on the calling thread with the file rights of this user, as an NFS server does
/// (setfsuid(2), and setgroups(2) of this thread alone). Without the right to become somebody else,
/// only our own user is possible. Errors: perm, and those of `work`.
[[nodiscard]] Status as_user(const FileUser& user, const std::function<Status()>& work);

}  // namespace holdfast::os
