#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::deploy::runtime {

/// major, minor, patch.
using RuntimeVersion = std::array<std::uint64_t, 3>;

/// Of "runc 1.1.5+ds1", "crun 1.14", "runc version 1.3.0-rc.1"; nothing when there is no number.
/// What follows the numbers does not count. Pure.
[[nodiscard]] std::optional<RuntimeVersion> runtime_version(std::string_view text);

/// The vulnerabilities by which a container can reach the host and that upstream mended after this
/// version, oldest first: "CVE-2024-21626 (mended in 1.1.12)". A distribution may have mended them
/// under the same number, so they are a reason to look, not a proof (packaging/doc/security.md
/// Pure.
[[nodiscard]] std::vector<std::string> known_vulnerabilities(std::string_view version);

}  // namespace holdfast::deploy::runtime
