#pragma once
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "common/os/process.hpp"
#include "common/os/unique_fd.hpp"
#include "deploy/image/worker_protocol.hpp"

namespace holdfast::deploy::image {

/// A `holdfast-worker unpack` child at work on one layer. Destruction ends it.
class Unpacker {
 public:
  /// Unpacks what comes out of `input` into `tree`, an empty directory; `lowers`, lowest first,
  /// when the layer needs them. Errors: by errno.
  [[nodiscard]] static Result<Unpacker> start(const std::string& worker_path, worker::UnpackJob job,
                                              const os::UniqueFd& input, const os::UniqueFd& tree,
                                              const std::vector<os::UniqueFd>& lowers);

  /// Readable when there is something to `advance` over.
  [[nodiscard]] int fd() const noexcept { return report_.get(); }
  /// Takes what has been reported; returns the outcome once the child is done with it.
  [[nodiscard]] std::optional<Result<worker::UnpackReport>> advance();

 private:
  Unpacker(os::Process child, os::UniqueFd report)
      : child_(std::move(child)), report_(std::move(report)) {}
  Result<worker::UnpackReport> outcome();

  os::Process child_;
  os::UniqueFd report_;
  std::string text_;
};

}  // namespace holdfast::deploy::image
