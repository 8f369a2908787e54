#pragma once
/// \file
/// What a container with a writable root has written: a walk over a tree of somebody else, who may
/// change it meanwhile. Bounded in every direction.

#include <cstdint>
#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"

namespace holdfast::deploy::runtime {

struct WalkBounds {
  std::size_t entries = 20'000;  ///< of any kind, directories too
  std::size_t levels = 32;       ///< one descriptor each
  std::size_t bytes = 1U << 20;  ///< of the paths that are kept
  Milliseconds time{250};
};

struct WrittenPaths {
  std::vector<std::string> paths;  ///< sorted and printable; whiteouts as "deleted …"
  std::size_t entries = 0;         ///< looked at
  bool more = false;               ///< a bound was met: there is more than that
};

/// Paths of what is no directory below `upper`, relative to open directories and never through a
/// link. Blocks for at most `bounds.time`. Errors: io, when it cannot be opened.
[[nodiscard]] Result<WrittenPaths> written_paths(const std::filesystem::path& upper,
                                                 const WalkBounds& bounds,
                                                 const std::stop_token& stop = {});

/// "/a, /b, /c and 4 more"; "more than 20000" where the walk met a bound. Empty when there is
/// nothing. Pure.
[[nodiscard]] std::string writes_text(const std::vector<std::string>& paths,
                                      const WrittenPaths& walked);

}  // namespace holdfast::deploy::runtime
