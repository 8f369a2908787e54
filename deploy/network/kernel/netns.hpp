#pragma once
#include <sys/types.h>

#include <filesystem>
#include <functional>

#include "common/base/result.hpp"

namespace holdfast::deploy::network {

/// Makes a fresh network namespace with its loopback up and pins it at `path` by a bind mount, so
/// that it lives without a process (network_namespaces(7)). The caller's own namespace is not
/// touched: the work is done by a thread that ends. Fails when something is pinned there already.
/// Errors: conflict, perm, io.
[[nodiscard]] Status pin_new_netns(const std::filesystem::path& path);

/// Pins the namespace that a process lives in at `path`, once more. Errors: perm, io (it ended).
[[nodiscard]] Status pin_netns_of(pid_t process, const std::filesystem::path& path);

/// True when a namespace is pinned at `path`.
[[nodiscard]] bool is_netns_pinned(const std::filesystem::path& path);

/// Unpins; the namespace ends with its last process. What is absent is success.
[[nodiscard]] Status unpin_netns(const std::filesystem::path& path);

/// Runs `work` in a thread of its own inside the namespace at `path`. Errors: of opening or
/// entering it, else those of `work`.
[[nodiscard]] Status run_in_netns(const std::filesystem::path& path,
                                  const std::function<Status()>& work);

}  // namespace holdfast::deploy::network
