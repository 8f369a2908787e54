#pragma once
#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

#include "common/base/error.hpp"

namespace holdfast::agent::worker::unpack {

[[nodiscard]] inline Error corrupt(std::string what) {
  return Error{Errc::layer_corrupt, std::move(what)};
}

/// What two readers of one archive see differently: what was scanned must be what runs, and nobody
/// writes it honestly.
[[nodiscard]] inline Error ambiguous(std::string_view what) {
  return Error{Errc::layer_corrupt,
               fmt::format("readers of tar disagree about {}, so it is refused", what)}
      .hint("build the image again with a current tool");
}

}  // namespace holdfast::agent::worker::unpack
