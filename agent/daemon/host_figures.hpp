#pragma once
/// \file
/// What is read for a scrape and may take its time: files of control groups, and of a disk that may
/// hang.

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "agent/daemon/host_stats.hpp"
#include "common/base/clock.hpp"

namespace boost::asio {
class io_context;
}  // namespace boost::asio

namespace holdfast::agent::daemon {

/// Reads on a thread of its own, once for all who ask meanwhile, and at most once a second. Lives
/// on the io thread.
class HostFigures {
 public:
  /// Called on that thread with the names of the services that are declared.
  using Read = std::function<HostStats(const std::set<std::string>&)>;
  using Use = std::function<void(const HostStats&)>;

  /// `io` and `clock` outlive it.
  [[nodiscard]] static std::unique_ptr<HostFigures> create(boost::asio::io_context& io,
                                                           const Clock& clock, Read read);
  virtual ~HostFigures() = default;

  /// Calls `use` once, on the io thread: with figures of this second, or, where the host does not
  /// answer for a second, with the last ones.
  virtual void ask(std::set<std::string> declared, Use use) = 0;
  /// Waits for a read that is under way.
  virtual void stop() = 0;
};

}  // namespace holdfast::agent::daemon
