#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"

namespace holdfast::deploy::fetch {

/// A login; all empty: anonymous.
struct Login {
  std::string user;
  std::string password;
  std::string identity_token;
};

/// The login for `host`/`repository` in a docker config.json or containers auth.json: the most
/// specific key wins, and a credential helper that the file names for the host before all keys
/// (containers-auth.json.5; packaging/doc/security.md 1.5). A file without a fitting key gives an
/// anonymous login. Errors: auth (form, credential helper), perm (file not owned by root, or
/// writable by others), by errno. May block 10 s for a helper.
[[nodiscard]] Result<Login> credentials_for(
    const std::filesystem::path& file, std::string_view host, std::string_view repository,
    const std::vector<std::filesystem::path>& helper_directories);

}  // namespace holdfast::deploy::fetch
