#pragma once
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "common/base/result.hpp"
#include "common/os/unique_fd.hpp"
#include "proto/config/agent_config.hpp"

namespace holdfast::deploy::network {

struct TableWatchOptions {
  std::string table;
  proto::Subnet subnet;          ///< of instances
  proto::Subnet service_subnet;  ///< routed to this host
};

/// One thread that hears from the kernel (multicast of nf_tables and rtnetlink) when somebody other
/// than this process changes the table, or when an address or route of ours, or any link, goes.
/// A full socket counts as a change. Belongs to the network namespace of the thread that started
/// it; the destructor joins.
class TableWatch {
 public:
  /// Errors: perm, io.
  [[nodiscard]] static Result<std::unique_ptr<TableWatch>> start(TableWatchOptions options,
                                                                 std::function<void()> on_change);
  ~TableWatch();
  TableWatch(const TableWatch&) = delete;
  TableWatch& operator=(const TableWatch&) = delete;

 private:
  TableWatch(TableWatchOptions options, std::function<void()> on_change)
      : options_(std::move(options)), on_change_(std::move(on_change)) {}
  [[nodiscard]] Status open();
  void loop(const std::stop_token& stop);
  [[nodiscard]] bool rules_changed();
  [[nodiscard]] bool links_changed();

  const TableWatchOptions options_;
  const std::function<void()> on_change_;
  os::UniqueFd rules_;
  os::UniqueFd links_;
  os::UniqueFd wake_;
  bool ours_ = false;  ///< the transaction under way touches the table
  std::jthread thread_;
};

}  // namespace holdfast::deploy::network
