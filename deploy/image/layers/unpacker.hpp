#pragma once
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "common/os/process.hpp"
#include "common/os/unique_fd.hpp"
#include "proto/worker/unpack.hpp"

namespace holdfast::deploy::image {

/// A `holdfast-worker unpack` child, for one layer. Destruction ends it.
class Unpacker {
 public:
  /// Starts a child that will unpack what comes out of `input` into `tree`, an empty directory;
  /// `lowers`, lowest first, when the layer needs them. It confines itself and waits. Errors: by
  /// errno.
  [[nodiscard]] static Result<Unpacker> start(const std::string& worker_path,
                                              proto::worker::UnpackLimits room,
                                              const os::UniqueFd& input, const os::UniqueFd& tree,
                                              const std::vector<os::UniqueFd>& lowers);

  /// Says what comes out of `input`. Once. Errors: io when the child is gone.
  [[nodiscard]] Status begin(const proto::worker::UnpackJob& job);

  /// Readable when there is something to `advance` over.
  [[nodiscard]] int fd() const noexcept { return report_.get(); }
  /// Takes what has been reported; returns the outcome once the child is done with it.
  [[nodiscard]] std::optional<Result<proto::worker::UnpackReport>> advance();

 private:
  Unpacker(os::Process child, os::UniqueFd job, os::UniqueFd report)
      : child_(std::move(child)), job_(std::move(job)), report_(std::move(report)) {}
  Result<proto::worker::UnpackReport> outcome();

  os::Process child_;
  os::UniqueFd job_;
  os::UniqueFd report_;
  std::string text_;
  std::uint64_t cpu_seconds_ = proto::worker::kMostCpuSeconds;
};

}  // namespace holdfast::deploy::image
