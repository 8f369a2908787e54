#pragma once
/// \file
/// What other tools call the keys of a service, and what they write as values: refused with the
/// form that means it here.

#include <span>
#include <string_view>
#include <vector>

#include "proto/deployment/rules.hpp"
#include "proto/yaml/fields.hpp"

namespace holdfast::proto {

/// Keys at the top of a compose file or a Kubernetes manifest.
[[nodiscard]] std::span<const yaml::Alias> document_words();
/// Keys of a service in compose files, Kubernetes manifests, Quadlet units and `docker run`.
[[nodiscard]] std::span<const yaml::Alias> service_words();
/// Those of `security`, `resources` and `health` in the same places.
[[nodiscard]] std::span<const yaml::Alias> security_words();
[[nodiscard]] std::span<const yaml::Alias> resource_words();

namespace rules {

/// "${NAME}" or "$(NAME)": other tools put a value there, here it would reach the program as it is.
/// "$${NAME}" is how to mean that.
[[nodiscard]] Verdict check_literal(std::string_view text);
/// Undoes "$${" and "$$(".
[[nodiscard]] std::string literal(std::string_view text);
/// True for the arguments that a shell expands by itself: those after its "-c".
[[nodiscard]] bool is_shell_flag(std::string_view argument);
/// "/cache:size=64m", "/data:ro": options after a colon, as in compose files.
[[nodiscard]] Verdict check_no_mount_options(std::string_view target);
/// ["CMD-SHELL", …], ["CMD", …], ["NONE"]: the first word of a healthcheck in compose files.
[[nodiscard]] Verdict check_no_compose_test(const std::vector<std::string>& command);

}  // namespace rules
}  // namespace holdfast::proto
