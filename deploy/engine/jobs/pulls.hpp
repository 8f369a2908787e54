#pragma once
#include <map>
#include <stop_token>

#include "deploy/engine/state/parts.hpp"

namespace holdfast::deploy::engine {

/// Wait before the next try of something that failed `attempts` times: 1 s doubling to 60 s.
[[nodiscard]] Milliseconds retry_delay(std::uint32_t attempts);

/// Which images are here, and those that are being fetched. Engine thread only.
class Pulls {
 public:
  explicit Pulls(Parts& parts) : parts_(parts) {}

  /// Looks for the images of the documents in use that nothing is known of, and ends pulls of
  /// images that none of them names: a slow one must not hold a thread for what was superseded or
  /// failed.
  void observe();
  /// What is there is to be looked at again; a pull that runs, or waits for its next try, keeps its
  /// state.
  void look_again();
  /// Fetches an image on a thread for pulls. Nothing when that is under way.
  void start(const plan::Pull& pull);

 private:
  void end_unwanted();
  [[nodiscard]] BootTime not_before(const proto::Digest& digest) const;
  void finished(const proto::ImageRef& ref, const Result<image::Pulled>& pulled);
  void failed(const proto::ImageRef& ref, const Error& error);

  Parts& parts_;
  std::map<proto::Digest, std::stop_source> running_;
};

}  // namespace holdfast::deploy::engine
