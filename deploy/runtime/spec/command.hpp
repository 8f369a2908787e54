#pragma once
/// \file
/// What is executed and with which environment: the image's configuration merged with the
/// document's (packaging/doc/security.md 3.3).

#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"
#include "deploy/runtime/spec/user.hpp"
#include "proto/deployment/deployment.hpp"
#include "proto/oci/oci.hpp"

namespace holdfast::deploy::runtime {

/// Where the host's init is mounted; below /dev there is a mount point in every image.
inline constexpr std::string_view kInitPath = "/dev/init";

/// entrypoint + command, behind `kInitPath` where the document asks for an init; the document's
/// `entrypoint` replaces both of the image, its `command` the image's command. Errors: runtime
/// (nothing to run, NUL in an argument).
[[nodiscard]] Result<std::vector<std::string>> merged_args(const proto::Service& service,
                                                           const proto::oci::ImageConfig& image);

/// Image, then document by name; PATH, HOME and HOSTNAME (none
/// for an empty one) filled in where absent. "NAME=value", in the image's
/// order, then by name. Errors: runtime for an image entry that is not NAME=value (R-3.2, T-13).
[[nodiscard]] Result<std::vector<std::string>> merged_env(const proto::Service& service,
                                                          const proto::oci::ImageConfig& image,
                                                          const User& user,
                                                          std::string_view hostname);

/// What a file holds as the value of a variable: without one line end. Errors: host (a NUL byte, or
/// too long for the kernel), naming the variable, never the content.
[[nodiscard]] Result<std::string> variable_value(std::string content, std::string_view variable);

/// Absolute and clean; "/" by default. Errors: runtime (relative; below /proc: CVE-2024-21626).
[[nodiscard]] Result<std::string> working_directory(const proto::Service& service,
                                                    const proto::oci::ImageConfig& image);

/// The document's, else the image's, else SIGTERM. Names with or without SIG, SIGRTMIN+n,
/// SIGRTMAX-n, numbers 1 to 64. Errors: runtime.
[[nodiscard]] Result<int> stop_signal(const proto::Service& service,
                                      const proto::oci::ImageConfig& image);
[[nodiscard]] Result<int> parse_signal(std::string_view text);

}  // namespace holdfast::deploy::runtime
