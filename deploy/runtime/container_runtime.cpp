#include "deploy/runtime/container_runtime.hpp"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <iterator>

#include "common/base/text.hpp"
#include "common/log/log.hpp"
#include "common/os/file.hpp"
#include "common/os/process.hpp"
#include "deploy/network/kernel/netns.hpp"
#include "deploy/network/kernel/tcp_sockets.hpp"
#include "deploy/runtime/advice.hpp"
#include "deploy/runtime/host/conmon.hpp"
#include "deploy/runtime/host/log_writer.hpp"
#include "deploy/runtime/lifecycle.hpp"
#include "deploy/runtime/logs/log_stream.hpp"
#include "deploy/runtime/observe/inspection.hpp"
#include "deploy/runtime/spec/etc_files.hpp"
#include "deploy/runtime/spec/exec_process.hpp"
#include "deploy/runtime/storage/config_files.hpp"
#include "deploy/runtime/storage/mounts.hpp"

namespace holdfast::deploy::runtime {

Result<std::unique_ptr<ContainerRuntime>> ContainerRuntime::open(
    const RuntimeOptions& options, const Clock& clock, network::Attachments& attachments) {
  HF_TRY(os::make_directories(options.state_dir));
  HF_TRY(os::make_directories(options.run_dir));
  // Mounts are found again by the paths the kernel shows.
  std::error_code bad;
  const Paths paths{.state_dir = std::filesystem::canonical(options.state_dir, bad),
                    .run_dir = std::filesystem::canonical(options.run_dir, bad)};
  if (bad) return errno_error(bad.value(), "resolve " + options.run_dir.string());
  HF_TRY(os::make_directories(paths.instances()));
  HF_TRY(os::make_directories(paths.logs()));
  for (const auto& directory :
       {paths.bundles(), paths.exits(), paths.mounts(), paths.runtime_root()})
    HF_TRY(os::make_directories(directory));
  HF_TRY(make_private_mount(paths.mounts()));
  HF_ASSIGN(auto cgroups, Cgroups::detect());
  HF_ASSIGN(auto runtime,
            OciRuntime::probe(options.runtime, paths.runtime_root(), cgroups.unified()));
  HF_ASSIGN(auto conmon, probe_conmon());
  auto facts = probe_host();
  facts.cgroup_namespace = cgroups.unified();
  auto own = options.own_places;
  for (const auto& directory : {paths.state_dir, paths.run_dir})  // as they are without links
    own.push_back(directory.string());
  Host host{.paths = paths,
            .group_parent = "/holdfast-" + options.instance,
            .runtime = std::move(runtime),
            .cgroups = std::move(cgroups),
            .facts = facts,
            .rules = HostRules{std::move(own)},
            .log_writer = options.log_writer,
            .exec_session = options.exec_session,
            .gateway = options.gateway,
            .log_max_size = options.log_max_size,
            .clock = clock,
            .attachments = attachments,
            .notify = std::make_shared<NotifyListener>(paths, clock)};
  host.notify->adopt();
  std::unique_ptr<ContainerRuntime> opened{
      new ContainerRuntime{std::move(host), std::move(conmon)}};
  opened->note_name_server(host_resolv().has_server);
  opened->follow_host();
  return opened;
}

ContainerRuntime::Turn::Turn(ContainerRuntime& runtime, const InstanceId& id)
    : runtime_(runtime), id_(id) {
  std::unique_lock lock{runtime_.turns_mutex_};
  runtime_.turns_changed_.wait(lock, [&] { return !runtime_.turns_.contains(id_); });
  runtime_.turns_.insert(id_);
}

ContainerRuntime::Turn::~Turn() {
  const std::lock_guard lock{runtime_.turns_mutex_};
  runtime_.turns_.erase(id_);
  runtime_.turns_changed_.notify_all();
}

std::set<InstanceId> ContainerRuntime::in_progress() {
  const std::lock_guard lock{turns_mutex_};
  return turns_;
}

Result<std::vector<ObservedInstance>> ContainerRuntime::observe(InspectionDepth depth) {
  if (depth == InspectionDepth::sampled && watching_changes_ == nullptr)
    depth = InspectionDepth::full;  // nobody tells of changes
  const auto* watcher = watching_exits_.load();
  // Before the look at the disk: an instance that gets ready in between is seen as what it was.
  return observer_.observe(in_progress(), depth, [&](const InstanceId& id, const RunState& run) {
    return watcher != nullptr && watcher->runs(id, run.init, run.conmon);
  });
}

Status ContainerRuntime::create(const InstanceSpec& spec, const std::stop_token& stop) {
  HF_TRY(check_id(spec.id));
  const Turn turn{*this, spec.id};
  const auto existing = read_run_state(host_, spec.id);
  if (existing && existing->phase == Phase::started && alive(existing->init)) return ok();
  // What an earlier try left, in whatever state, goes first.
  std::error_code ignored;
  if (std::filesystem::exists(host_.paths.kept(spec.id), ignored))
    HF_TRY(remove_instance(host_, spec.id));
  auto created = create_instance(host_, spec, stop);
  if (created) {
    arm(spec.id);
    return created;
  }
  if (auto removed = remove_instance(host_, spec.id); !removed)
    log::warn("event=left_over instance={} error={}", spec.id.str(),
              log::field(removed.error().to_string()));
  return std::move(created).error().in("create instance " + spec.id.str());
}

Status ContainerRuntime::restart(const InstanceId& id, const std::stop_token& stop) {
  const Turn turn{*this, id};
  disarm(id);
  const auto shut = sessions_.shut(id, "is restarted");
  auto restarted = restart_instance(host_, id, stop);
  if (!restarted) return std::move(restarted).error().in("restart instance " + printable(id.str()));
  arm(id);
  return restarted;
}

Result<StopOutcome> ContainerRuntime::stop(const InstanceId& id, const proto::StopRule& rule,
                                           const std::stop_token& stop) {
  const Turn turn{*this, id};
  const auto shut = sessions_.shut(id, "is stopped");
  auto stopped = stop_instance(host_, id, rule, stop);
  if (!stopped) return std::move(stopped).error().in("stop instance " + printable(id.str()));
  return stopped;
}

Status ContainerRuntime::remove(const InstanceId& id, const std::stop_token& stop) {
  const Turn turn{*this, id};
  if (stop.stop_requested())
    return Error{Errc::cancelled, "remove instance " + printable(id.str())};
  disarm(id);
  const auto shut = sessions_.shut(id, "is removed");
  auto removed = remove_instance(host_, id);
  if (!removed) return std::move(removed).error().in("remove instance " + printable(id.str()));
  return removed;
}

Status ContainerRuntime::freeze(const InstanceId& id, const std::stop_token& spare) {
  HF_TRY(check_id(id));
  expect_freezer(id);
  // What stands still could not be ended.
  const auto shut = sessions_.shut(id, "does not serve any more, and is frozen as standby");
  auto done = host_.cgroups.freeze(host_.group(id), spare);
  // Whoever spares it thaws it too: one of the two comes last, whichever way they overtake each
  // other.
  if (done && spare.stop_requested()) done = Error{Errc::cancelled, "the instance is needed again"};
  if (done) return done;
  (void)host_.cgroups.thaw(host_.group(id));
  return std::move(done).error().in("freeze instance " + id.str());
}

Status ContainerRuntime::thaw(const InstanceId& id) {
  HF_TRY(check_id(id));
  host_.notify->thawed(id);
  expect_freezer(id);
  auto done = host_.cgroups.thaw(host_.group(id));
  if (!done) return std::move(done).error().in("thaw instance " + id.str());
  return done;
}

Result<std::uint32_t> ContainerRuntime::reset_connections(const InstanceId& id,
                                                          const std::stop_token& spare) {
  HF_TRY(check_id(id));
  HF_ASSIGN(const auto run, read_run_state(host_, id));
  if (run.netns.empty()) return 0U;
  auto count = network::reset_accepted(run.netns, spare);
  if (!count) return std::move(count).error().in("reset connections of instance " + id.str());
  return count;
}

Result<ExecResult> ContainerRuntime::exec(const InstanceId& id,
                                          const std::vector<std::string>& command,
                                          Milliseconds timeout, const std::stop_token& stop) {
  static std::atomic<std::uint64_t> sequence{0};
  HF_TRY(check_id(id));
  HF_ASSIGN(const auto run, read_run_state(host_, id));
  if (run.phase != Phase::started || !alive(run.init))
    return Error{Errc::runtime, fmt::format("{} does not run", id.str())};
  const auto bundle = host_.paths.bundle(id);
  HF_ASSIGN(const auto config, os::read_regular_file(bundle / "config.json"));
  HF_ASSIGN(const auto process, exec_process_json(config, {.args = command}));
  const auto number = sequence.fetch_add(1);
  const auto process_file = bundle / fmt::format("exec-{}.json", number);
  const auto pid_file = bundle / fmt::format("exec-{}.pid", number);
  HF_TRY(os::write_atomic(process_file, process, 0600, os::Durability::lazy));
  auto outcome = host_.runtime.exec(
      {.id = id, .process_json = process_file, .pid_file = pid_file, .timeout = timeout}, stop);
  std::error_code ignored;
  std::filesystem::remove(process_file, ignored);
  std::filesystem::remove(pid_file, ignored);
  if (!outcome) return std::move(outcome).error().in("exec in " + id.str());
  return ExecResult{.code = outcome->code, .output = std::move(outcome->output)};
}

Status ContainerRuntime::set_hosts(const HostsTable& hosts) {
  const std::lock_guard lock{hosts_mutex_};
  HF_ASSIGN(const auto seen, observe(InspectionDepth::liveness));
  Status first = ok();
  for (const auto& instance : seen) {
    if (instance.state == InstanceState::broken || instance.state == InstanceState::creating)
      continue;
    const auto record = read_record(host_, instance.id);
    if (!record) continue;
    const auto text = hosts_text({.hostname = hostname_of(instance.service, record->names),
                                  .own = instance.address,
                                  .gateway = host_.gateway_of(record->network),
                                  .extra = record->names.hosts},
                                 hosts);
    const auto path = host_.paths.hosts(instance.id);
    const auto now = os::read_regular_file(path, 1U << 20);
    if (now && *now == text) continue;
    auto done = rewrite_in_place(path, text);
    if (!done && first) first = std::move(done).error().in("rewrite hosts of " + instance.id.str());
  }
  return first;
}

void ContainerRuntime::note_name_server(bool there) {
  if (has_name_server_.exchange(there) == there) return;
  if (there) return log::info("event=name_server_found");
  log::warn(
      "event=no_name_server hint=\"/etc/resolv.conf names none that a container can reach: see "
      "holdfast doctor\"");
}

Status ContainerRuntime::host_gives(const proto::Service& wanted) const {
  HF_TRY(check_ulimits(wanted.ulimits, host_.facts));
  if (wanted.init && !has_init_) return no_init();
  HF_TRY(find_devices(wanted.devices));
  return ok();
}

void ContainerRuntime::forget_configs(const std::set<proto::Digest>& in_use) {
  if (auto done = runtime::forget_configs(host_.paths, in_use, host_.clock.wall()); !done)
    log::warn("event=configs_not_forgotten error={}", log::field(done.error().to_string()));
}

Status ContainerRuntime::mend_records() {
  HF_ASSIGN(const auto seen, observe(InspectionDepth::liveness));
  Status first = ok();
  for (const auto& instance : seen) {
    if (instance.pid == 0) continue;
    const auto mended = mend_record(host_, instance.id);
    if (mended && *mended)
      log::warn("event=record_restored instance={} file={}", instance.id.str(),
                log::field(host_.paths.record(instance.id).string()));
    if (!mended && first) first = Error{mended.error()}.in("the record of " + instance.id.str());
  }
  return first;
}

void ContainerRuntime::follow_host() { has_init_ = find_init().has_value(); }

Status ContainerRuntime::follow_names() {
  const auto names = host_resolv();
  note_name_server(names.has_server);
  const std::lock_guard lock{hosts_mutex_};
  HF_ASSIGN(const auto seen, observe(InspectionDepth::liveness));
  Status first = ok();
  for (const auto& instance : seen) {
    const auto record = read_record(host_, instance.id);
    const auto path = host_.paths.resolv(instance.id);
    const auto now = os::read_regular_file(path, 1U << 20);
    if (!record || !now || record->network == proto::NetworkMode::none) continue;
    const auto text = resolv_for(record->network, record->names);
    if (*now == text) continue;
    auto done = rewrite_in_place(path, text);
    if (!done && first)
      first = std::move(done).error().in("rewrite resolv.conf of " + instance.id.str());
  }
  return first;
}

std::optional<SdNotifyState> ContainerRuntime::sd_notify_state(const InstanceId& id) {
  return host_.notify->state(id);
}

void ContainerRuntime::arm(const InstanceId& id) {
  const std::lock_guard lock{arming_mutex_};
  const auto run = read_run_state(host_, id);
  if (!run || run->phase != Phase::started) return;
  if (exits_) exits_->watch(id, run->init, run->conmon);
  if (!changes_) return;
  WatchedPlaces places{
      .init = run->init.pid, .group = host_.group(id), .files = {}, .netns = run->netns};
  if (const auto record = read_record(host_, id))
    for (const auto& secret : record->secrets) places.files.insert(secret.file);
  for (std::size_t i = 0; i < run->configs.size(); ++i)
    places.files.insert(host_.paths.placed_config(id, i).string());
  changes_->watch(id, places);
}

void ContainerRuntime::disarm(const InstanceId& id) {
  const std::lock_guard lock{arming_mutex_};
  if (exits_) exits_->forget(id);
  if (changes_) changes_->forget(id);
}

void ContainerRuntime::watch(std::function<void(const InstanceId&, Change)> on_change) {
  auto exits = ExitWatcher::start(
      host_.paths, host_.clock, [on_change](const InstanceId& id) { on_change(id, Change::exit); });
  auto changes = ChangeWatcher::start(host_.cgroups, host_.clock,
                                      [this, on_change](const InstanceId& id, Change change) {
                                        observer_.suspect(id);
                                        on_change(id, change);
                                      });
  observer_.watch_background([on_change](const InstanceId& id) { on_change(id, Change::inside); });
  for (const auto* failed :
       {exits ? nullptr : &exits.error(), changes ? nullptr : &changes.error()})
    if (failed != nullptr)
      log::error("event=watch_failed error={}", log::field(failed->to_string()));
  {
    const std::lock_guard lock{arming_mutex_};
    if (exits) exits_ = std::move(*exits);
    if (changes) changes_ = std::move(*changes);
    watching_exits_ = exits_.get();
    watching_changes_ = changes_.get();
  }
  const auto seen = observe(InspectionDepth::liveness);
  if (!seen) return;
  for (const auto& instance : *seen)
    if (instance.pid != 0) arm(instance.id);
}

void ContainerRuntime::expect_freezer(const InstanceId& id) {
  if (auto* changes = watching_changes_.load()) changes->expect_freezer(id);
}

Status ContainerRuntime::enforce(const InstanceId& id) {
  HF_TRY(check_id(id));
  HF_ASSIGN(const auto record, read_record(host_, id));
  HF_ASSIGN(const auto run, read_run_state(host_, id));
  if (!run.netns.empty() && !network::is_netns_pinned(run.netns) && alive(run.init)) {
    auto pinned = network::pin_netns_of(run.init.pid, run.netns);
    if (!pinned) return std::move(pinned).error().in("pin the namespace of instance " + id.str());
  }
  observer_.suspect(id);
  auto done = host_.cgroups.enforce(host_.group(id), record.limits);
  if (!done) return std::move(done).error().in("write the limits of instance " + id.str());
  return done;
}

Status ContainerRuntime::expel(const InstanceId& id) {
  HF_TRY(check_id(id));
  HF_ASSIGN(const auto run, read_run_state(host_, id));
  constexpr std::chrono::seconds kLongest{10};
  auto found =
      ForeignWalk{host_.clock}.look_at_all({{id, run.init}}, host_.clock.boot() + kLongest);
  for (const auto& foreign : found[id]) {
    log::warn("event=foreign_process_killed instance={} pid={} name={}", id.str(),
              foreign.process.pid, log::field(foreign.name));
    send_signal(foreign.process, SIGKILL);
  }
  observer_.suspect(id);
  return ok();
}

Status ContainerRuntime::revive_log_writer(const InstanceId& id) {
  const Turn turn{*this, id};
  HF_ASSIGN(const auto record, read_record(host_, id));
  HF_ASSIGN(auto run, read_run_state(host_, id));
  if (run.log_writer.pid == 0 || !alive(run.conmon) || alive(run.log_writer)) return ok();
  HF_ASSIGN(run.log_writer, start_log_writer(host_, record, {}));
  log::warn("event=log_writer_restarted instance={} hint=\"what it wrote meanwhile is lost\"",
            id.str());
  return write_run_state(host_, id, run);
}

void ContainerRuntime::count_dropped(const InstanceId& id, const std::string& service) {
  const auto now = dropped_bytes(host_.paths.bundle(id));
  const std::lock_guard lock{logs_mutex_};
  const auto [known, is_new] = dropped_.try_emplace(id, now);
  auto& total = dropped_of_service_[service];
  const auto more = now - std::min(now, known->second);
  known->second = now;
  if (is_new || more == 0) return;
  total += more;
  // More than the bound between two looks: its log reaches back less than that.
  if (more > 2 * host_.log_max_size.value())
    log::warn(
        "event=log_dropped service={} instance={} bytes={} hint=\"it writes faster than "
        "log.max_size keeps\"",
        service, id.str(), more);
}

std::map<std::string, std::uint64_t> ContainerRuntime::dropped_log_bytes() {
  const std::lock_guard lock{logs_mutex_};
  return dropped_of_service_;
}

Status ContainerRuntime::maintain_logs() {
  HF_ASSIGN(const auto seen, observe(InspectionDepth::liveness));
  const auto busy = in_progress();
  Status first = ok();
  std::set<InstanceId> present;
  for (const auto& instance : seen) {
    present.insert(instance.id);
    if (instance.pid == 0 || busy.contains(instance.id)) continue;
    count_dropped(instance.id, instance.service.str());
    const auto run = read_run_state(host_, instance.id);
    if (!run || run->log_writer.pid == 0 || alive(run->log_writer)) continue;
    auto done = revive_log_writer(instance.id);
    if (!done && first) first = std::move(done).error().in("write the log of " + instance.id.str());
  }
  {
    const std::lock_guard lock{logs_mutex_};
    std::erase_if(dropped_, [&](const auto& entry) { return !present.contains(entry.first); });
  }
  auto pruned = prune_logs(host_.paths, log_keep(host_));
  return first ? std::move(pruned) : std::move(first);
}

/// The last lines may still be on their way through the FIFO when the exit is already known.
void ContainerRuntime::await_last_lines(const InstanceId& id) const {
  constexpr Milliseconds kStep{1};
  constexpr int kMostSteps = 300;
  const auto run = read_run_state(host_, id);
  if (!run || alive(run->init)) return;
  for (int i = 0; i < kMostSteps && alive(run->log_writer); ++i)
    os::sleep_until(host_.clock.boot() + kStep, {});
}

Result<std::vector<std::string>> ContainerRuntime::last_lines(const InstanceId& id,
                                                              std::size_t count) const {
  HF_TRY(check_id(id));
  HF_ASSIGN(const auto record, read_record(host_, id));
  await_last_lines(id);
  constexpr Bytes kEnough{64U << 10};
  LogStream stream{id, host_.paths.log(record.service, id), kEnough};
  std::deque<std::string> lines;
  const auto add = [&](const LogLine& line) {
    lines.push_back(printable(line.text));
    if (lines.size() > count) lines.pop_front();
  };
  while (stream.peek() != nullptr) add(stream.take());
  while (const auto rest = stream.take_unfinished()) add(*rest);
  return std::vector<std::string>{lines.begin(), lines.end()};
}

LastWords ContainerRuntime::last_words(const InstanceId& id, std::size_t count) const {
  constexpr std::size_t kLines = 20;  // what the cause is said in comes before the last of them
  const auto record = read_record(host_, id);
  auto lines = last_lines(id, std::max(count, kLines));
  if (!record || !lines) return {};
  auto exit = read_exit(host_, id);
  if (!exit)
    if (const auto run = read_run_state(host_, id)) exit = run->last_exit;
  LastWords words{.lines = {},
                  .advice = advice(record->security, exit.value_or(ExitInfo{}), *lines)};
  const auto kept = static_cast<std::ptrdiff_t>(std::min(count, lines->size()));
  words.lines.assign(std::make_move_iterator(lines->end() - kept),
                     std::make_move_iterator(lines->end()));
  return words;
}

}  // namespace holdfast::deploy::runtime
