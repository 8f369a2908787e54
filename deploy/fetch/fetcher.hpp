#pragma once
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "common/base/result.hpp"
#include "common/os/process.hpp"
#include "common/os/unique_fd.hpp"
#include "proto/worker/fetch.hpp"

namespace holdfast::deploy::fetch {

/// A stream on its way: the child writes the body to the descriptor it was given and reports here.
class Download {
 public:
  explicit Download(os::UniqueFd reports) : reports_(std::move(reports)) {}

  /// Readable when there is something to `advance` over.
  [[nodiscard]] int fd() const noexcept { return reports_.get(); }
  /// Takes what has been reported; returns the outcome once there is one.
  [[nodiscard]] std::optional<Result<proto::worker::FetchReport>> advance();
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  os::UniqueFd reports_;
  std::string pending_;
  std::uint64_t bytes_ = 0;
};

struct FetchedDocument {
  std::string bytes;
  proto::worker::FetchReport report;
};

/// A program that answers FetchRequests (proto/worker/fetch.hpp), and the descriptors that it gets
/// besides its control socket: {ours, number in the child}, borrowed.
struct ChildProgram {
  std::vector<std::string> argv;
  std::vector<std::pair<int, int>> fds;
};

/// `holdfast-fetch`, the confined child that speaks to the network; it lies beside the worker.
/// `bandwidth` is that of make_bandwidth_limit(), borrowed; -1: none.
[[nodiscard]] ChildProgram network_child(const std::string& worker_path, int bandwidth);

/// A fetching child, started at the first request or before. Requests are served side by side, each
/// within its own limits. Thread safe.
class Fetcher {
 public:
  explicit Fetcher(ChildProgram program) : program_(std::move(program)) {}

  /// Starts the child ahead of its setup and the first request. Repeat safe. Errors: by errno.
  [[nodiscard]] Status start();

  /// Tells the child where it may turn, and starts it if need be. Once, before the first request; a
  /// child that needs no setup (an archive's) needs no call. Errors: by errno, io when the child is
  /// gone.
  [[nodiscard]] Status configure(const proto::worker::FetchSetup& setup);

  /// A short document, in memory. Blocks. Errors: those of the child, size_mismatch (larger than
  /// its limit), cancelled.
  [[nodiscard]] Result<FetchedDocument> document(const proto::worker::FetchRequest& request,
                                                 const std::stop_token& stop);

  /// Begins to write a stream to `body`, and to `partial` if it is open. Errors: io when the child
  /// is gone.
  [[nodiscard]] Result<Download> stream(const proto::worker::FetchRequest& request,
                                        os::UniqueFd body, const os::UniqueFd& partial = {});

 private:
  Status send(const std::string& message, std::span<const int> fds);

  ChildProgram program_;
  std::string setup_ = proto::worker::encode(proto::worker::FetchSetup{});  ///< as sent
  bool configured_ = false;                                                 ///< this child has it
  std::mutex mutex_;
  std::optional<os::Process> child_;
  os::UniqueFd control_;
};

}  // namespace holdfast::deploy::fetch
