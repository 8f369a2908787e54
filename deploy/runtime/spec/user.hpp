#pragma once
/// \file
/// Who the service runs as, by the image's own passwd and group files
/// (packaging/doc/security.md 3.3).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"
#include "proto/deployment/deployment.hpp"

namespace holdfast::deploy::runtime {

struct User {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::vector<std::uint32_t> groups;  ///< supplementary, without `gid`, ascending
  std::string home;                   ///< of the passwd entry; empty without one
  bool operator==(const User&) const = default;
};

/// Resolves "user[:group]" in `root`, an open directory of the image's merged tree. Never uses NSS;
/// opens the two files by fd with in-root symlink resolution; regular files up to 10 MiB with lines
/// up to 64 KiB only. Errors: user.
[[nodiscard]] Result<User> resolve_user(int root, std::string_view wanted);

/// A gid, or the name of a group of the image, under the same rules. Errors: user.
[[nodiscard]] Result<std::uint32_t> group_id(int root, std::string_view group);

/// The rule of the profiles: what the document says, else the image's user. Under `hardened` uid 0
/// must be written out in the document. `group_add` joins the supplementary groups. Errors: user,
/// with the line to add.
[[nodiscard]] Result<User> service_user(int root, const proto::Security& security,
                                        std::string_view image_user);

}  // namespace holdfast::deploy::runtime
