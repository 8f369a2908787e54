#pragma once
/// \file
/// Grammars of single values of the deployment document and agent.yaml. Pure. A `Fault` says what
/// is wrong with a text; nothing means that it is right.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proto/deployment/deployment.hpp"

namespace holdfast::proto::rules {

struct Fault {
  std::string message;  ///< continues "<where> ": "must be …"
  std::string hint;
};
using Verdict = std::optional<Fault>;

/// [a-z0-9]([a-z0-9-]{0,61}[a-z0-9])? : documents, services.
[[nodiscard]] bool is_name(std::string_view text);
/// [a-z0-9][a-z0-9_.-]{0,62}: volumes, keys.
[[nodiscard]] bool is_item_name(std::string_view text);
/// [A-Za-z0-9_][A-Za-z0-9_.-]{0,252}: secrets, which are names of files.
[[nodiscard]] bool is_file_name(std::string_view text);
/// [A-Za-z0-9][A-Za-z0-9_./-]{0,62}: labels of hosts.
[[nodiscard]] bool is_label(std::string_view text);
/// [A-Za-z_][A-Za-z0-9_.-]*, at most 255.
[[nodiscard]] bool is_env_name(std::string_view text);

/// Absolute, no empty, `.` or `..` component, no trailing slash, at most 4095 bytes, no control
/// characters.
[[nodiscard]] Verdict check_path(std::string_view text);
/// A path in the container that something may be mounted on.
[[nodiscard]] Verdict check_target(std::string_view text);
/// A path of the host that a container may see (packaging/doc/security.md 3.1).
[[nodiscard]] Verdict check_host_source(std::string_view text);
/// True when `path` is `prefix` or below it.
[[nodiscard]] bool is_at_or_below(std::string_view path, std::string_view prefix);

/// "uid", "uid:gid", "name", "name:group" (packaging/doc/security.md 3.3).
[[nodiscard]] Verdict check_user(std::string_view text);
/// A gid, or the name of a group.
[[nodiscard]] Verdict check_group(std::string_view text);
/// uid 0 or root, by any spelling.
[[nodiscard]] bool is_root_user(std::string_view text);

/// "SIGTERM", "SIGRTMIN+3".
[[nodiscard]] Verdict check_signal(std::string_view text);
/// With or without CAP_; `ALL` is refused.
[[nodiscard]] Verdict check_capability(std::string_view text);

/// Three or four octal digits.
[[nodiscard]] std::optional<FileMode> parse_mode(std::string_view text);
/// "0755".
[[nodiscard]] std::string mode_text(FileMode mode);

/// semver.org 2.0, a leading "v" allowed.
[[nodiscard]] bool is_semver(std::string_view text);

/// `policy.images.max_size`: `size` is the sum of the compressed layers that the verified manifest
/// names. Errors: policy, naming the image, both sizes and the next step.
[[nodiscard]] Status check_image_size(std::string_view image, Bytes size,
                                      std::optional<Bytes> most);

/// "80:8080", "127.0.0.1:9000:9000/udp", "8000-8010:9000-9010": one port, or those of a range in
/// order, at most 1024. The error's text continues "<where> ".
[[nodiscard]] Result<std::vector<PublishedPort>> parse_published(std::string_view text);
/// The canonical form: "80:8080/tcp".
[[nodiscard]] std::string to_string(const PublishedPort& port);
/// Dotted quad without leading zeros; host byte order.
[[nodiscard]] std::optional<std::uint32_t> parse_ipv4(std::string_view text);
/// 1 to 65535, digits only.
[[nodiscard]] std::optional<std::uint16_t> parse_port(std::string_view text);

}  // namespace holdfast::proto::rules
