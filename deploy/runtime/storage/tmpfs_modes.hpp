#pragma once
/// \file
/// Modes of tmpfs that a document names.

#include <sys/types.h>

#include <map>
#include <string>

#include "common/base/result.hpp"
#include "proto/deployment/deployment.hpp"

namespace holdfast::deploy::runtime {

/// By path in the container, clean.
using TmpfsModes = std::map<std::string, proto::FileMode>;

/// Those that the service's document names; none where it leaves them to the directory below.
[[nodiscard]] TmpfsModes tmpfs_modes(const proto::Service& service);

/// Sets them in the mount namespace of `pid`, the runtime's init that has not started the program
/// yet: what runc does with the option `mode` depends on the directory it covers. Quick; repeating
/// it changes nothing. Errors: runtime, io, naming the path.
[[nodiscard]] Status set_tmpfs_modes(pid_t pid, const TmpfsModes& modes);

}  // namespace holdfast::deploy::runtime
