#pragma once
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "common/base/result.hpp"
#include "common/os/process.hpp"
#include "common/os/unique_fd.hpp"
#include "deploy/image/worker_protocol.hpp"

namespace holdfast::deploy::image {

/// A blob on its way: the child writes the body to the descriptor it was given and reports here.
class Download {
 public:
  explicit Download(os::UniqueFd reports) : reports_(std::move(reports)) {}

  /// Readable when there is something to `advance` over.
  [[nodiscard]] int fd() const noexcept { return reports_.get(); }
  /// Takes what has been reported; returns the outcome once there is one.
  [[nodiscard]] std::optional<Result<worker::FetchReport>> advance();
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  os::UniqueFd reports_;
  std::string pending_;
  std::uint64_t bytes_ = 0;
};

struct FetchedDocument {
  std::string bytes;
  worker::FetchReport report;
};

/// Says that what is fetched lies in an OCI layout archive. The descriptor is borrowed.
struct FromArchive {
  int fd;
};

/// A `holdfast-fetch` child for one repository, started at the first request; the program lies
/// beside `worker_path`. Thread safe.
class Fetcher {
 public:
  /// `pace` is the store's (pace.hpp), borrowed; -1: none.
  Fetcher(std::string worker_path, int pace) : worker_path_(std::move(worker_path)), pace_(pace) {}

  /// From an archive, by a `holdfast-worker archive` child.
  Fetcher(std::string worker_path, FromArchive archive)
      : worker_path_(std::move(worker_path)), pace_(-1), archive_(archive.fd) {}

  /// Before the first request only.
  void configure(worker::FetchSetup setup) { setup_ = std::move(setup); }

  /// Starts the child ahead of the first request. Repeat safe. Errors: by errno.
  [[nodiscard]] Status start();

  /// A manifest, index or config, in memory. Blocks. Errors: those of the registry; cancelled.
  [[nodiscard]] Result<FetchedDocument> document(const worker::FetchRequest& request,
                                                 const std::stop_token& stop);

  /// Begins to write a blob to `body`, and to `partial` if it is open. Errors: io when the child is
  /// gone.
  [[nodiscard]] Result<Download> blob(const worker::FetchRequest& request, os::UniqueFd body,
                                      const os::UniqueFd& partial = {});

 private:
  std::string worker_path_;
  int pace_;
  int archive_ = -1;
  worker::FetchSetup setup_;
  std::mutex mutex_;
  std::optional<os::Process> child_;
  os::UniqueFd control_;
};

}  // namespace holdfast::deploy::image
