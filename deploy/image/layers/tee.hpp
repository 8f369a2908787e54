#pragma once
#include <cstdint>
#include <filesystem>
#include <thread>

#include "common/base/result.hpp"
#include "common/os/unique_fd.hpp"

namespace holdfast::deploy::image {

/// Passes a stream on and writes it to a file on the way, on a thread of its own. What the file
/// cannot take is not kept; the stream goes on. Destruction ends it within 200 ms.
class Tee {
 public:
  /// Reads `from` to its end, then closes `to`. Errors: by errno.
  [[nodiscard]] static Result<std::unique_ptr<Tee>> start(os::UniqueFd from, os::UniqueFd to,
                                                          const std::filesystem::path& file);
  /// Waits for the end of the stream. Whether the file holds all of it.
  [[nodiscard]] bool finish();

 private:
  Tee(os::UniqueFd from, os::UniqueFd to, os::UniqueFd file)
      : from_(std::move(from)), to_(std::move(to)), file_(std::move(file)) {}
  void run(const std::stop_token& stop);

  os::UniqueFd from_;
  os::UniqueFd to_;
  os::UniqueFd file_;  ///< closed once it does not hold everything
  bool ended_ = false;
  std::jthread thread_;
};

}  // namespace holdfast::deploy::image
