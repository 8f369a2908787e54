#pragma once
/// \file
/// holdfast-log: the process between conmon and the log of an instance (agent/logger/README.md). It
/// keeps the bound of the log, outlives the agent, and ends when conmon has closed the FIFO.

#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <vector>

#include "common/base/result.hpp"
#include "common/base/strong.hpp"
#include "deploy/runtime/record/paths.hpp"
#include "deploy/runtime/record/record.hpp"

namespace holdfast::deploy::runtime {

struct LogWriterRequest {
  std::filesystem::path program;
  std::filesystem::path log;           ///< the older half is <log>.1
  std::filesystem::path bundle;        ///< holds the FIFO and the count of what was dropped
  Bytes max_size;                      ///< of one file
  std::function<Status(pid_t)> place;  ///< moves it to the control group of the supervisors
};

/// The FIFO that conmon takes for its log.
[[nodiscard]] std::filesystem::path log_fifo(const std::filesystem::path& bundle);

/// Starts the writer, which waits for conmon. Blocks for about 2 ms. Errors: not_found (no such
/// program), io, timed_out (5 s), cancelled.
[[nodiscard]] Result<ProcessId> start_log_writer(const LogWriterRequest& request,
                                                 const std::stop_token& stop);

/// Writers of this bundle, found by their arguments; for instances whose agent died before it had
/// written down which.
[[nodiscard]] std::vector<ProcessId> find_log_writers(const std::filesystem::path& bundle);

/// Bytes that its instance wrote and that are in no file any more; 0 when nothing is known.
[[nodiscard]] std::uint64_t dropped_bytes(const std::filesystem::path& bundle);

}  // namespace holdfast::deploy::runtime
