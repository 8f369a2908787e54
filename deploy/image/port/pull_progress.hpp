#pragma once
#include <cstdint>
#include <functional>
#include <string>

namespace holdfast::deploy::image {

enum class PullPhase : std::uint8_t {
  resolving,
  downloading,
  unpacking,
  done,
  verifying,
  exporting
};

struct PullProgress {
  std::string image;  ///< reference as in the document
  std::string layer;  ///< short digest; empty for the image as a whole
  PullPhase phase = PullPhase::resolving;
  std::uint64_t bytes = 0;  ///< compressed bytes received of this layer
  std::uint64_t total = 0;  ///< compressed size of this layer
  std::uint64_t rate = 0;   ///< bytes a second since its download began; 0: not known yet
};
/// Called from job threads, at most about 10 times a second for a layer. Must be quick and thread
/// safe.
using ProgressSink = std::function<void(const PullProgress&)>;

}  // namespace holdfast::deploy::image
