#pragma once
/// \file
/// runc or crun by its command line (packaging/doc/security.md 3.5). State is decided by `state`,
/// never by reading English.

#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "deploy/plan/model/model.hpp"
#include "proto/config/agent_config.hpp"

namespace holdfast::deploy::runtime {

enum class RuntimeStatus : std::uint8_t { absent, creating, created, running, stopped, paused };

struct RuntimeAnswer {
  RuntimeStatus status = RuntimeStatus::absent;
  int pid = 0;
};

/// The program that runs containers. Immutable, thread safe; every call starts one process and is
/// killed after 60 s.
class OciRuntime {
 public:
  /// Finds one that works on this host: `automatic` prefers runc. Errors: runtime, saying what to
  /// install or to change.
  [[nodiscard]] static Result<OciRuntime> probe(proto::RuntimeChoice choice,
                                                const std::filesystem::path& root,
                                                bool unified_cgroups);

  [[nodiscard]] const std::string& program() const noexcept { return program_; }
  [[nodiscard]] const std::string& version() const noexcept { return version_; }  ///< "runc 1.1.5"
  [[nodiscard]] const std::filesystem::path& root() const noexcept { return root_; }
  /// Global arguments: state directory and a JSON log.
  [[nodiscard]] std::vector<std::string> global_args(const std::filesystem::path& log) const;

  [[nodiscard]] Result<RuntimeAnswer> state(const plan::InstanceId& id) const;
  /// Lets the created container run its program. Errors: runtime, with the runtime's own reason.
  [[nodiscard]] Status start(const plan::InstanceId& id, const std::filesystem::path& log,
                             const std::stop_token& stop) const;
  /// `delete --force`; unknown is success.
  [[nodiscard]] Status remove(const plan::InstanceId& id) const;

  struct ExecFiles {
    std::filesystem::path process_json;
    std::filesystem::path pid_file;
    std::filesystem::path log;
    std::filesystem::path console;  ///< socket that gets the terminal; empty: none
  };
  /// Starts a process in a container and ends; it stays as a child of the nearest subreaper.
  [[nodiscard]] std::vector<std::string> detached_exec(const plan::InstanceId& id,
                                                       const ExecFiles& files) const;

  struct ExecRequest {
    plan::InstanceId id;
    std::filesystem::path process_json;
    std::filesystem::path pid_file;
    Milliseconds timeout{0};
  };
  struct ExecOutcome {
    int code = 0;
    std::string output;
  };
  /// Errors: timed_out (nothing of it runs on), runtime, cancelled.
  [[nodiscard]] Result<ExecOutcome> exec(const ExecRequest& request,
                                         const std::stop_token& stop) const;

 private:
  OciRuntime(std::string program, std::string version, std::filesystem::path root)
      : program_(std::move(program)), version_(std::move(version)), root_(std::move(root)) {}

  std::string program_;
  std::string version_;
  std::filesystem::path root_;
};

/// The useful part of what a runtime wrote: the last error of its JSON log, else its text without
/// the noise of wrapping. Printable, at most 500 characters. Pure.
[[nodiscard]] std::string runtime_reason(const std::string& json_log, const std::string& text);

/// An Errc::runtime for that reason, with the next step where the reason is known. Pure.
[[nodiscard]] Error runtime_error(std::string reason);

inline constexpr Milliseconds kRuntimeTimeout{60'000};

}  // namespace holdfast::deploy::runtime
