#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <utility>

namespace holdfast::deploy::image {

/// What happened to the image store besides rollouts.
struct UpkeepStats {
  std::map<std::pair<std::string, std::string>, std::uint64_t> jobs;  ///< by operation and result
  std::uint64_t verified_layers = 0;  ///< hashed again, by people or by the scrub
  std::uint64_t verified_bytes = 0;
  std::uint64_t damaged_images = 0;  ///< found so
  double scrub_completed = 0;        ///< when no layer was due any more; 0: never
};

}  // namespace holdfast::deploy::image
