#pragma once
#include <functional>
#include <memory>
#include <optional>

#include "deploy/desired/intake.hpp"
#include "deploy/desired/poll_schedule.hpp"
#include "deploy/desired/source.hpp"
#include "deploy/desired/source_health.hpp"
#include "deploy/engine/engine.hpp"

namespace boost::asio {
class io_context;
}

namespace holdfast::agent::daemon {

/// Moves candidates from a source through its intake to the engine: waits for the source's
/// descriptor or the next poll, reads on a thread of its own. What is offered and when, the intake
/// decides. Lives on the io thread; destruction asks a read to stop and joins.
class SourceWatch {
 public:
  struct Parts {
    boost::asio::io_context& io;
    deploy::engine::Engine& engine;
    std::unique_ptr<deploy::desired::Source> source;
    std::unique_ptr<deploy::desired::Memory> memory;
    const Clock& clock;
    deploy::desired::SourceReads& reads;
    Milliseconds stale_after;
    /// Of a source that announces nothing; none: it is read at each resync.
    std::optional<deploy::desired::PollSchedule> polls;
  };
  using Synced = std::function<void(Result<proto::api::SourceStatus>)>;

  /// Begins with a read; a source with polls from which something was accepted before, with its
  /// next poll.
  [[nodiscard]] static std::unique_ptr<SourceWatch> start(Parts parts);
  virtual ~SourceWatch() = default;

  /// Reads the source again, whatever it announced. One with polls waits for those.
  virtual void look() = 0;
  /// Reads it now, offers again what it has, and says how it stands then; `cancelled` where the
  /// watch ends before that.
  virtual void sync(Synced done) = 0;
  [[nodiscard]] virtual proto::api::SourceStatus status() const = 0;
  [[nodiscard]] virtual const std::map<Errc, std::uint64_t>& refusals() const = 0;
  /// From time to time. True while something is left to do soon.
  virtual bool tick() = 0;
};

}  // namespace holdfast::agent::daemon
