#include "agent/worker/unpack/tar_errors.hpp"

#include <fmt/format.h>

#include <utility>

namespace holdfast::agent::worker::unpack {

Error corrupt(std::string what) { return Error{Errc::layer_corrupt, std::move(what)}; }

Error ambiguous(std::string_view what) {
  return Error{Errc::layer_corrupt,
               fmt::format("readers of tar disagree about {}, so it is refused", what)}
      .hint("build the image again with a current tool");
}

}  // namespace holdfast::agent::worker::unpack
