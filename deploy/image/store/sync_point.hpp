#pragma once
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>

#include "common/base/result.hpp"
#include "common/os/unique_fd.hpp"

namespace holdfast::deploy::image {

/// syncfs(2) of the store's file system, shared: who asks while one runs takes part in the next,
/// which serves all that came before it began. Thread safe; blocks.
class SyncPoint {
 public:
  [[nodiscard]] static Result<std::unique_ptr<SyncPoint>> open(
      const std::filesystem::path& directory);

  /// Everything written to the file system before the call is durable after it. Errors: io (never
  /// retried for the same data).
  [[nodiscard]] Status sync();

 private:
  explicit SyncPoint(os::UniqueFd fd) : fd_(std::move(fd)) {}

  os::UniqueFd fd_;
  std::mutex mutex_;
  std::condition_variable finished_;
  std::uint64_t begun_ = 0;
  std::uint64_t done_ = 0;
  bool running_ = false;
  std::optional<Error> failed_;
};

}  // namespace holdfast::deploy::image
