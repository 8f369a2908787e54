#pragma once
#include <filesystem>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "common/os/unique_fd.hpp"
#include "proto/digest.hpp"

namespace holdfast::deploy::image {

/// The first bytes of a layer, kept from a download that broke off, in PARTIALS/<hex>. They are not
/// believed: whoever goes on from them hashes them again. Used by one thread.
class Partial {
 public:
  /// Opens or makes the file, and locks it against other processes. When another one has it, or it
  /// cannot be made, the download goes on without.
  [[nodiscard]] static Partial open(const std::filesystem::path& partials,
                                    const proto::Digest& blob, std::uint64_t size);

  /// Removes what nobody has touched since `before`. Errors: by errno.
  [[nodiscard]] static Status sweep(const std::filesystem::path& partials, WallTime before);

  /// Reopened, so that reading begins at the first byte; appends. Closed when there is none.
  [[nodiscard]] os::UniqueFd reader() const;
  /// Bytes in it now.
  [[nodiscard]] std::uint64_t bytes() const;

  /// What the download came to decides: after one that may go on later the file stays, else it
  /// goes.
  void settle(const Status& outcome);
  /// Empties it: the bytes were wrong.
  void restart();

 private:
  Partial(std::filesystem::path path, os::UniqueFd fd)
      : path_(std::move(path)), fd_(std::move(fd)) {}
  std::filesystem::path path_;
  os::UniqueFd fd_;
};

}  // namespace holdfast::deploy::image
