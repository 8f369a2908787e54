#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"
#include "deploy/fetch/credentials.hpp"

namespace holdfast::deploy::fetch {

/// What `docker-credential-<name> get` says of the host; anonymous when it knows nothing. The
/// program must belong to root, and lie in one of the directories (packaging/doc/security.md
/// Its output is shown nowhere. Errors: auth (name, program, answer). Blocks for at most
/// 10 s.
[[nodiscard]] Result<Login> ask_helper(const std::string& name, std::string_view host,
                                       const std::vector<std::filesystem::path>& directories);

}  // namespace holdfast::deploy::fetch
