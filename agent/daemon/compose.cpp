#include "agent/daemon/compose.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <set>

#include "agent/daemon/open_source.hpp"
#include "common/log/log.hpp"
#include "common/os/disk_space.hpp"
#include "common/os/process.hpp"
#include "deploy/image/image_store.hpp"
#include "deploy/ledger/backup.hpp"
#include "deploy/ledger/bounded_commit.hpp"
#include "deploy/ledger/readers.hpp"
#include "deploy/ledger/recover.hpp"
#include "deploy/network/cni_attachments.hpp"
#include "deploy/network/host_facts.hpp"
#include "deploy/network/nft_publisher.hpp"
#include "deploy/runtime/container_runtime.hpp"
#include "deploy/runtime/record/record.hpp"
#include "deploy/runtime/storage/volumes_mount.hpp"

namespace holdfast::agent::daemon {
namespace {

namespace engine = deploy::engine;
namespace image = deploy::image;
namespace ledger = deploy::ledger;
namespace network = deploy::network;
namespace runtime = deploy::runtime;

class RealExec final : public ExecRun {
 public:
  explicit RealExec(std::unique_ptr<runtime::ExecSession> session) : session_(std::move(session)) {}
  [[nodiscard]] std::string number() const override { return session_->number(); }
  proto::api::ExecEnd run(os::UniqueFd client, const std::stop_token& stop) override {
    return session_->run(std::move(client), stop);
  }

 private:
  std::unique_ptr<runtime::ExecSession> session_;
};

/// The parts in the order in which they need each other; destroyed the other way round.
class RealAgent final : public Agent {
 public:
  const Clock* clock = nullptr;
  std::filesystem::path state_dir;
  std::optional<runtime::VolumesMount> volumes;
  std::unique_ptr<ledger::Ledger> history;
  std::unique_ptr<network::CniAttachments> attachments;
  std::unique_ptr<runtime::ContainerRuntime> containers;
  std::unique_ptr<network::NftPublisher> publisher;
  std::unique_ptr<image::ImageStore> store;
  std::unique_ptr<engine::Engine> loop;
  std::optional<StoreSizes> sizes;  ///< of the thread that asks for `host_stats`

  engine::Engine& engine() override { return *loop; }
  LogRead logs() override {
    return [reader = runtime::LogReader{state_dir / "logs"}](
               const runtime::LogQuery& query, const runtime::LogSink& sink,
               const std::stop_token& stop) { return reader.read(query, sink, stop); };
  }
  PrepareExec exec() override {
    return [this](const proto::api::ExecRequest& asked) -> Result<std::unique_ptr<ExecRun>> {
      HF_ASSIGN(auto session, containers->exec_sessions().prepare(asked));
      return std::make_unique<RealExec>(std::move(session));
    };
  }
  image::ImageStore& images() override { return *store; }
  PlanRecovery plan_recovery() override {
    return [this]() -> Result<proto::api::LedgerRecovery> {
      HF_ASSIGN(auto seen, containers->observe(runtime::InspectionDepth::liveness));
      return ledger::recover_ledger(state_dir, {.dry_run = true,
                                                .actor = {},
                                                .reason = {},
                                                .now = clock->wall(),
                                                .running = std::move(seen)});
    };
  }
  HostStats host_stats(const std::set<std::string>& declared) override {
    HostStats figures{.store = sizes->read(),
                      .dropped_log_bytes = containers->dropped_log_bytes(),
                      .workloads = containers->workload_usage(declared)};
    if (const auto disk = os::read_disk_space(state_dir)) {
      figures.state_free_bytes = disk->free_bytes;
      figures.state_size_bytes = disk->size_bytes;
    }
    return figures;
  }
  std::filesystem::path worker;
  Result<std::unique_ptr<deploy::desired::Source>> open_source(
      const proto::AgentConfig& config) override {
    return daemon::open_source(config, worker.string(), *clock);
  }
  ReadLedger ledger() override {
    return [readers = std::make_shared<ledger::Readers>(state_dir)](const auto& use) {
      return readers->read(use);
    };
  }
};

/// A flush takes milliseconds, and seconds only where something is wrong: then rollbacks and
/// restarts go on without.
constexpr std::chrono::milliseconds kLedgerPatience{1000};

Result<std::unique_ptr<ledger::Ledger>> open_history(const std::filesystem::path& state_dir,
                                                     runtime::ContainerRuntime& containers) {
  auto opened = ledger::open_ledger(state_dir);
  if (opened || disposition(opened.error().code()) != Disposition::stop) return opened;
  HF_ASSIGN(const auto running, containers.observe(runtime::InspectionDepth::liveness));
  auto readable = ledger::open_damaged_ledger(state_dir, opened.error(), running);
  if (!readable) return std::move(opened).error();
  log::error("event=ledger_damaged error={}", log::field(opened.error().to_string()));
  return readable;
}

/// What an operator asked the life before for. Without success the agent comes up as it was.
void recover_if_requested(const std::filesystem::path& state_dir,
                          runtime::ContainerRuntime& containers, const Clock& clock) {
  const auto request = ledger::requested_recovery(state_dir);
  if (!request) return;
  auto seen = containers.observe(runtime::InspectionDepth::liveness);
  auto done = seen ? ledger::recover_ledger(state_dir, {.dry_run = false,
                                                        .actor = request->actor,
                                                        .reason = request->reason,
                                                        .now = clock.wall(),
                                                        .running = std::move(seen).value()})
                   : Result<proto::api::LedgerRecovery>{std::move(seen).error()};
  ledger::forget_recovery(state_dir);
  if (done) {
    log::warn("event=ledger_recovered actor={} fault={} backup={} head={} lost={} moved_to={}",
              log::field(request->actor), log::field(done->fault), log::field(done->base),
              done->new_head.number,
              done->lost_first == 0 ? 0 : done->lost_last - done->lost_first + 1, done->moved_to);
  } else {
    log::error("event=ledger_not_recovered error={}", log::field(done.error().to_string()));
  }
}

/// Beside this program, so that the two are always of one build.
Result<std::filesystem::path> worker_path() {
  std::error_code failed;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", failed);
  auto path = self.parent_path() / "holdfast-worker";
  if (!failed && std::filesystem::exists(path, failed)) return path;
  return Error{Errc::not_found, fmt::format("{} is not there", path.string())}.hint(
      "install it beside holdfastd");
}

/// At every resync, on a thread that may wait.
void keep_house(runtime::ContainerRuntime& containers) {
  if (auto done = containers.maintain_logs(); !done)
    log::warn("event=logs_not_maintained error={}", log::field(done.error().to_string()));
  if (auto done = containers.mend_records(); !done)
    log::warn("event=records_not_restored error={}", log::field(done.error().to_string()));
  containers.follow_host();
  if (auto done = containers.follow_names(); !done)
    log::warn("event=names_not_followed error={}", log::field(done.error().to_string()));
}

/// Attachments of instances that no longer exist are taken down.
Status sweep_attachments(runtime::ContainerRuntime& containers,
                         network::CniAttachments& attachments) {
  HF_ASSIGN(const auto seen, containers.observe(deploy::runtime::InspectionDepth::liveness));
  std::set<std::string> known;
  for (const auto& instance : seen) known.insert(instance.id.str());
  if (auto swept = attachments.sweep(known); !swept)
    log::warn("event=sweep_failed error={}", log::field(swept.error().to_string()));
  return ok();
}

/// Where agent and session were killed together, commands may run on.
Status sweep_sessions(runtime::ContainerRuntime& containers) {
  HF_ASSIGN(const auto seen, containers.observe(deploy::runtime::InspectionDepth::liveness));
  std::set<runtime::InstanceId> known;
  for (const auto& instance : seen) known.insert(instance.id);
  containers.exec_sessions().sweep(known);
  return ok();
}

/// When the first process was started: in a container that is more than the start of the kernel.
BootTime host_started() {
  const auto ticks = os::process_start_ticks(1);
  if (!ticks) return {};
  return BootTime{std::chrono::milliseconds{static_cast<std::int64_t>(*ticks) * 1'000 /
                                            ::sysconf(_SC_CLK_TCK)}};
}

engine::Engine::Options engine_options(const proto::AgentConfig& config,
                                       runtime::ContainerRuntime& containers) {
  engine::Engine::Options options{
      .config = config, .boot_id = runtime::boot_id(), .host_started = host_started()};
  options.housekeeping = [&containers] { keep_house(containers); };
  options.back_up = [dir = config.state_dir] { return ledger::back_up(dir); };
  options.last_words = [&containers](const deploy::plan::InstanceId& id) {
    constexpr std::size_t kLines = 5;
    return containers.last_words(id, kLines);
  };
  options.disk_space = [dir = config.state_dir] { return os::read_disk_space(dir); };
  options.host_addresses = network::host_addresses;
  options.has_name_server = [&containers] { return containers.has_name_server(); };
  options.host_gives = [&containers](const proto::Service& wanted) {
    return containers.host_gives(wanted);
  };
  options.forget_configs = [&containers](const std::set<proto::Digest>& in_use) {
    containers.forget_configs(in_use);
  };
  options.memory_signs = [] { return os::read_memory_signs(); };
  return options;
}

}  // namespace

/// Where that cannot be, their modes keep others out.
void confine_volumes(RealAgent& agent) {
  auto made = runtime::VolumesMount::make(agent.state_dir / "volumes");
  if (made) return void(agent.volumes.emplace(std::move(made).value()));
  log::warn("event=volumes_not_nosuid error={}", log::field(made.error().to_string()));
}

Result<std::unique_ptr<Agent>> compose(const proto::AgentConfig& config, const Clock& clock) {
  auto agent = std::make_unique<RealAgent>();
  agent->state_dir = config.state_dir;
  agent->clock = &clock;
  agent->sizes.emplace(config.state_dir, clock);
  confine_volumes(*agent);
  HF_ASSIGN(const auto worker, worker_path());
  agent->worker = worker;
  HF_ASSIGN(agent->attachments, network::CniAttachments::open({.state_dir = config.state_dir,
                                                               .run_dir = config.run_dir,
                                                               .cni_dir = config.cni_dir,
                                                               .instance = config.instance,
                                                               .subnet = config.subnet}));
  HF_ASSIGN(agent->containers,
            runtime::ContainerRuntime::open({.state_dir = config.state_dir,
                                             .run_dir = config.run_dir,
                                             .instance = config.instance,
                                             .runtime = config.runtime,
                                             .log_writer = worker.parent_path() / "holdfast-log",
                                             .exec_session = worker.parent_path() / "holdfast-exec",
                                             .gateway = config.subnet.address + 1,
                                             .log_max_size = config.log_max_size,
                                             .own_places = proto::own_places(config)},
                                            clock, *agent->attachments));
  recover_if_requested(config.state_dir, *agent->containers, clock);
  HF_ASSIGN(auto history, open_history(config.state_dir, *agent->containers));
  agent->history = std::make_unique<ledger::BoundedCommitLedger>(std::move(history),
                                                                 config.state_dir, kLedgerPatience);
  HF_TRY(sweep_attachments(*agent->containers, *agent->attachments));
  HF_TRY(sweep_sessions(*agent->containers));
  HF_ASSIGN(agent->publisher,
            network::NftPublisher::open({.instance = config.instance,
                                         .subnet = config.subnet,
                                         .service_subnet = config.service_subnet,
                                         .allow_link_local = config.allow_link_local,
                                         .run_dir = config.run_dir}));
  HF_ASSIGN(agent->store,
            image::ImageStore::open({.state_dir = config.state_dir,
                                     .worker_path = worker,
                                     .registries = config.registries,
                                     .parallel_downloads = config.parallel_downloads,
                                     .clock = clock,
                                     .bytes_per_second = config.pull_bandwidth.value(),
                                     .keep_blobs = config.keep_blobs,
                                     .host_files = {},
                                     .proxy = config.proxy}));
  auto options = engine_options(config, *agent->containers);
  options.on_arrival = [&store = *agent->store] { store.expect_pull(); };
  HF_ASSIGN(agent->loop,
            engine::Engine::create({clock, *agent->store, *agent->containers, *agent->containers,
                                    *agent->publisher, *agent->history},
                                   std::move(options)));
  log::info("event=composed runtime={} state_dir={}", log::field(agent->containers->description()),
            config.state_dir.string());
  return std::unique_ptr<Agent>{std::move(agent)};
}

}  // namespace holdfast::agent::daemon
