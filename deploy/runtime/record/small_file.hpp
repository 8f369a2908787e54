#pragma once
/// \file
/// Reading small files of /proc and cgroupfs without an allocation of pages: an observation reads
/// ten of them an instance.

#include <optional>
#include <string>

namespace holdfast::deploy::runtime {

/// The first 4 KiB of a file, without white space around it; nothing when it cannot be read.
[[nodiscard]] std::optional<std::string> read_small(const char* path);
[[nodiscard]] inline std::optional<std::string> read_small(const std::string& path) {
  return read_small(path.c_str());
}

}  // namespace holdfast::deploy::runtime
