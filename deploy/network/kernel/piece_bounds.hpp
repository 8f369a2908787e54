#pragma once
#include <chrono>
#include <cstddef>

namespace holdfast::deploy::network {

/// Of the kernel's tables, which containers fill: how many rows are held at once before they are
/// changed and the table is read again, and how long that goes on.
struct PieceBounds {
  std::size_t at_once = 32'768;  ///< below 3 MiB
  std::chrono::milliseconds time{10'000};
};

}  // namespace holdfast::deploy::network
