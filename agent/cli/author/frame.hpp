#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"

namespace holdfast::agent::cli {

/// What a signed document says of itself, besides its content.
struct Frame {
  std::uint64_t serial = 0;
  WallTime issued{};
  WallTime expires{};
};

/// The document with this frame: the lines of its own top-level `serial`, `issued` and `expires`
/// are replaced, and those that are missing come at its end. Everything else stays, comments and
/// all. Errors: those of `load_deployment`, of the result too; spec_parse, when the document is
/// written so that lines cannot be put into it ("{apiVersion: …}").
[[nodiscard]] Result<std::string> framed(std::string_view yaml, const Frame& frame);

}  // namespace holdfast::agent::cli
