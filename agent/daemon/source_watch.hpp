#pragma once
#include <memory>

#include "deploy/desired/intake.hpp"
#include "deploy/desired/source.hpp"
#include "deploy/engine/engine.hpp"

namespace boost::asio {
class io_context;
}

namespace holdfast::agent::daemon {

/// Moves candidates from a source through its intake to the engine: waits for the source's
/// descriptor, reads on a thread of its own. What is offered and when, the intake decides. Lives on
/// the io thread; destruction asks a read to stop and joins.
class SourceWatch {
 public:
  struct Parts {
    boost::asio::io_context& io;
    deploy::engine::Engine& engine;
    std::unique_ptr<deploy::desired::Source> source;
    std::unique_ptr<deploy::desired::Memory> memory;
    const Clock& clock;
    deploy::desired::SourceReads& reads;
  };
  /// Begins with a read.
  [[nodiscard]] static std::unique_ptr<SourceWatch> start(Parts parts);
  virtual ~SourceWatch() = default;

  /// Reads the source again, whatever it announced.
  virtual void look() = 0;
  /// From time to time. True while something is left to do soon.
  virtual bool tick() = 0;
};

}  // namespace holdfast::agent::daemon
