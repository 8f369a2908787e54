#pragma once
#include <cstdint>
#include <functional>
#include <set>
#include <stop_token>
#include <string>

#include "common/base/result.hpp"
#include "deploy/image/port/image_maintenance.hpp"
#include "deploy/image/store/store.hpp"

namespace holdfast::deploy::image {

/// Hashes layers again, each in a confined child (holdfast-worker verify), and remembers what it
/// found beside each. One thread.
class Verifier {
 public:
  Verifier(Store& store, const Budget& budget, const std::stop_token& stop)
      : store_(store), budget_(budget), stop_(stop) {}

  /// Bytes of the layer read so far.
  using Progress = std::function<void(std::uint64_t bytes)>;

  /// What is wrong with the layer; empty: nothing, or it cannot be told (`unknown` is counted
  /// then). Errors: cancelled, internal (the child failed), by errno.
  [[nodiscard]] Result<std::string> layer(const std::string& key, const Progress& progress);

  [[nodiscard]] const Verification& sum() const noexcept { return sum_; }

 private:
  Result<std::string> hash(const std::string& key, const Progress& progress);

  Store& store_;
  const Budget& budget_;
  const std::stop_token& stop_;
  Verification sum_;
};

}  // namespace holdfast::deploy::image
