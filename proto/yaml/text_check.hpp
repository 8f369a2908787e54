#pragma once
#include <string_view>

#include "proto/yaml/findings.hpp"

namespace holdfast::proto::yaml {

/// Refuses what a YAML parser would guess about or let through: other encodings than UTF-8, byte
/// order marks, control and bidirectional characters, more than 1 MiB. Reports the first fault
/// only.
[[nodiscard]] bool check_text(std::string_view text, Findings& findings);

}  // namespace holdfast::proto::yaml
