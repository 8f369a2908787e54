#pragma once
#include <sys/stat.h>

#include <array>
#include <span>
#include <string_view>

namespace holdfast::deploy::runtime {

/// What says who may be the host's root or its users, and what other engines keep of theirs: never
/// a service's, as a volume, a secret or a config.
inline constexpr std::array<std::string_view, 16> kPlacesOfTheHost{
    "/etc/shadow",         "/etc/shadow-",    "/etc/gshadow",     "/etc/gshadow-",
    "/etc/security",       "/etc/sudoers",    "/etc/sudoers.d",   "/etc/ssh",
    "/etc/krb5.keytab",    "/root/.ssh",      "/var/lib/sss",     "/var/lib/containers",
    "/var/lib/containerd", "/var/lib/docker", "/var/lib/kubelet", "/var/backups"};

/// What holds some of these, or all.
inline constexpr std::array<std::string_view, 5> kPlacesAbove{"/", "/etc", "/root", "/var",
                                                              "/var/lib"};

/// The kernel's own files, and what programs and the credentials of other units leave for
/// themselves.
inline constexpr std::array<std::string_view, 6> kPlacesOfTheKernel{"/proc", "/sys",     "/dev",
                                                                    "/run",  "/var/run", "/boot"};

/// Which of `places` this is under another name, by a hard link or a bind mount; empty: none. Stats
/// each of them. Not for the engine thread.
[[nodiscard]] std::string_view same_place(const struct stat& info,
                                          std::span<const std::string_view> places);

}  // namespace holdfast::deploy::runtime
