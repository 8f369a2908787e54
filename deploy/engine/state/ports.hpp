#pragma once
/// \file
/// What the engine works with and is told from outside.

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "common/os/disk_space.hpp"
#include "common/os/memory_signs.hpp"
#include "deploy/image/port/images.hpp"
#include "deploy/ledger/ledger.hpp"
#include "deploy/network/port/publisher.hpp"
#include "deploy/requests/actor.hpp"
#include "deploy/runtime/instances.hpp"
#include "proto/config/agent_config.hpp"

namespace holdfast::deploy::engine {

using requests::Actor;

/// What the engine works with. All outlive it.
struct Ports {
  const Clock& clock;
  image::Images& images;
  runtime::Instances& instances;
  runtime::InstanceControl& control;
  network::Publisher& publisher;
  ledger::Ledger& ledger;
};

struct Options {
  proto::AgentConfig config;
  /// Of this life of the host: another one has another.
  std::string boot_id{};
  /// When the host, or the container that the agent runs in, was started.
  BootTime host_started{};
  /// Called at each resync (log rotation and the like), on a job thread.
  std::function<void()> housekeeping;
  /// What an instance wrote last and what that most likely means, as evidence; on a job thread. May
  /// be empty.
  std::function<runtime::LastWords(const plan::InstanceId&)> last_words;
  /// How short memory is; asked while something is frozen. May be empty.
  std::function<os::MemorySigns()> memory_signs;
  /// Copies the ledger, on a job thread: after each rollout, and when an hour brought entries. May
  /// be empty.
  std::function<Result<ledger::Head>()> back_up;
  /// Whether containers with a network of their own reach a name server, as seen last. Empty: they
  /// do. This and the next two are asked where documents are read, on threads of their own.
  std::function<bool()> has_name_server;
  /// Whether the host can give what a service asks of it beside its image, as seen last. Errors:
  /// host. Empty: it can.
  std::function<Status(const proto::Service&)> host_gives{};
  /// IPv4 addresses of the host. Empty: not known.
  std::function<std::set<plan::Address>()> host_addresses;
  /// Deletes the content of configs that is not in use, on a job thread. May be empty.
  std::function<void(const std::set<proto::Digest>& in_use)> forget_configs{};
  /// Called when a deployment arrives, before it is read: images may soon be asked for. From any
  /// thread, must be quick. May be empty.
  std::function<void()> on_arrival;
  /// Room on the file system of state_dir; asked at each resync, on a job thread. May be empty.
  std::function<Result<os::DiskSpace>()> disk_space;
};

/// How slow work leaves the engine thread. What a job returns is done back on the engine thread.
class Jobs {
 public:
  /// change: creation, restart; stop: what a restart or a replacement waits for; retire: the end of
  /// what is needed no more; drain: counting and cutting connections; document: those of the
  /// ledger, which a rollback may wait for: what comes back is read before everything else.
  /// shutdown: the end of everything, at once as far as the order allows. brief: what takes
  /// milliseconds, and must not wait behind a creation. network: the table of routes, by programs
  /// that others may keep waiting. evidence: logs, on disks that may not answer.
  enum class Pool {
    change,
    pull,
    probe,
    stop,
    retire,
    drain,
    document,
    shutdown,
    brief,
    network,
    evidence
  };
  static constexpr std::size_t kPools = 11;
  using Work = std::function<std::function<void()>(const std::stop_token&)>;
  virtual ~Jobs() = default;
  virtual void run(Pool pool, Work work) = 0;
};

}  // namespace holdfast::deploy::engine
