#pragma once
#include <filesystem>
#include <memory>
#include <optional>

#include "agent/daemon/metrics.hpp"
#include "deploy/desired/file_source.hpp"
#include "deploy/engine/engine.hpp"

namespace boost::asio {
class io_context;
}

namespace holdfast::agent::daemon {

/// Hands the watched file to the engine when it changes, and at start when it differs from the last
/// one taken from it. While a roll-out is under way a new document waits: the engine would refuse
/// it. Lives on the io thread.
class SourceWatch {
 public:
  struct Parts {
    boost::asio::io_context& io;
    deploy::engine::Engine& engine;
    const Clock& clock;
    DaemonFigures& figures;
    std::filesystem::path state_dir;
  };
  /// Errors: io.
  [[nodiscard]] static Result<std::unique_ptr<SourceWatch>> start(
      Parts parts, const std::filesystem::path& file);
  virtual ~SourceWatch() = default;

  /// Reads the file again, whatever the kernel reported.
  virtual void look() = 0;
  /// From time to time: hands over what waits, remembers what was taken. True while something is
  /// left to do soon.
  virtual bool tick() = 0;
};

}  // namespace holdfast::agent::daemon
