#include "common/os/process.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "deploy/runtime/host/conmon.hpp"
#include "deploy/runtime/host/log_writer.hpp"
#include "deploy/runtime/lifecycle.hpp"
#include "deploy/runtime/observe/inspection.hpp"
#include "deploy/runtime/spec/command.hpp"
#include "deploy/runtime/spec/confinement.hpp"
#include "deploy/runtime/storage/config_files.hpp"
#include "deploy/runtime/storage/rootfs.hpp"
#include "deploy/runtime/storage/secrets.hpp"
#include "deploy/runtime/storage/tmpfs_modes.hpp"

namespace holdfast::deploy::runtime {
namespace {

/// Waits for the end of exactly this process; true when it is over.
bool wait_gone(const Host& host, const ProcessId& process, Milliseconds timeout,
               const std::stop_token& stop) {
  auto pidfd = os::open_pidfd(process.pid);
  if (!pidfd || !alive(process)) return true;
  const BootTime deadline = host.clock.boot() + timeout;
  while (!stop.stop_requested()) {
    const auto left = std::chrono::ceil<Milliseconds>(deadline - host.clock.boot());
    if (left.count() <= 0) return !alive(process);
    constexpr Milliseconds kStopCheck{200};
    pollfd waiting{pidfd->get(), POLLIN, 0};
    if (::poll(&waiting, 1, static_cast<int>(std::min(left, kStopCheck).count())) > 0) return true;
  }
  return false;
}

/// The exit file is there, or nobody is left to write one.
void wait_exit_file(const Host& host, const plan::InstanceId& id, const RunState& run,
                    Milliseconds timeout) {
  const BootTime deadline = host.clock.boot() + timeout;
  constexpr Milliseconds kStep{2};
  while (!read_exit(host, id) && alive(run.conmon) && host.clock.boot() < deadline)
    os::sleep_until(host.clock.boot() + kStep, {});
}

void remember(Status& first, Status step) {
  if (first && !step) first = std::move(step);
}

/// What the configuration asked for, read back from config.json by the runtime's own words in
/// /proc.
Result<Confinement> wanted_confinement(const Host& host, const plan::InstanceId& id) {
  HF_ASSIGN(const auto config, os::read_regular_file(host.paths.bundle(id) / "config.json"));
  return confinement_of(config);
}

Status place_supervisor(const Host& host, pid_t pid) {
  // The last instance of the agent may be removing the group at this moment: make it again.
  constexpr int kTries = 3;
  Status done = ok();
  for (int i = 0; i < kTries; ++i)
    if (done = host.cgroups.adopt(host.supervisors(), pid); done) return done;
  return std::move(done).error().in("move conmon to its own control group");
}

}  // namespace

Result<ProcessId> start_log_writer(const Host& host, const InstanceRecord& record,
                                   const std::stop_token& stop) {
  return start_log_writer({.program = host.log_writer,
                           .log = host.paths.log(record.service, record.id),
                           .bundle = host.paths.bundle(record.id),
                           .max_size = host.log_max_size,
                           .place = [&host](pid_t pid) { return place_supervisor(host, pid); }},
                          stop);
}

Status start_process(const Host& host, const InstanceRecord& record, RunState& run,
                     const std::stop_token& stop) {
  HF_TRY(os::make_directories(host.paths.exits()));
  HF_ASSIGN(run.log_writer, start_log_writer(host, record, stop));
  HF_ASSIGN(const auto started,
            create_supervised({.id = record.id,
                               .name = record.service.str(),
                               .bundle = host.paths.bundle(record.id),
                               .exits = host.paths.exits(),
                               .log = log_fifo(host.paths.bundle(record.id)),
                               .runtime = host.runtime,
                               .place = [&host](pid_t pid) { return place_supervisor(host, pid); }},
                              stop));
  run.init = started.init;
  run.conmon = started.conmon;
  run.phase = Phase::created;
  HF_TRY(write_run_state(host, record.id, run));
  HF_ASSIGN(const auto wanted, wanted_confinement(host, record.id));
  HF_TRY(check_confinement(run.init.pid, wanted));
  HF_TRY(set_tmpfs_modes(run.init.pid, record.tmpfs_modes));
  HF_TRY(record_baseline(host, record.id, run.init.pid));
  if (stop.stop_requested()) return Error{Errc::cancelled, "start the program"};
  const auto wall = host.clock.wall();
  const auto boot = host.clock.boot();
  HF_TRY(host.runtime.start(record.id, host.paths.bundle(record.id) / "runtime.log", stop));
  run.phase = Phase::started;
  run.starts += 1;
  run.started_wall_ms = wall.time_since_epoch().count();
  run.started_boot_ns = boot.time_since_epoch().count();
  run.last_exit.reset();
  return write_run_state(host, record.id, run);
}

/// With conmon gone the writer has what is left in the FIFO to write and ends by itself; one that
/// no conmon ever came to waits for ever.
void end_log_writers(const Host& host, const plan::InstanceId& id, const RunState& run) {
  constexpr Milliseconds kWriteWait{1'000};
  constexpr Milliseconds kKillWait{1'000};
  auto writers = run.phase == Phase::started ? std::vector{run.log_writer}
                                             : find_log_writers(host.paths.bundle(id));
  for (const auto& writer : writers) {
    if (wait_gone(host, writer, run.conmon.pid != 0 ? kWriteWait : Milliseconds{0}, {})) continue;
    send_signal(writer, SIGKILL);
    (void)wait_gone(host, writer, kKillWait, {});
  }
}

Status clear_process(const Host& host, const plan::InstanceId& id, const RunState& run) {
  constexpr Milliseconds kKillWait{5'000};
  constexpr Milliseconds kConmonWait{1'000};
  const auto group = host.group(id);
  Status first = ok();
  // Half way through a start conmon would go on creating; a finished one is left to write down how
  // its container ended.
  if (run.phase != Phase::started)
    for (const auto& stray : find_conmons(host.paths.bundle(id))) end_conmon(stray);
  (void)host.cgroups.thaw(group);  // fails where there is no group: then nothing is frozen
  send_signal(run.init, SIGKILL);
  remember(first, host.cgroups.kill_all(group));
  if (!wait_gone(host, run.init, kKillWait, {}))
    remember(first, Error{Errc::timed_out, fmt::format("process {} does not end", run.init.pid)});
  std::error_code ignored;
  if (std::filesystem::exists(host.paths.runtime_root() / id.str(), ignored))
    remember(first, host.runtime.remove(id));
  const auto from_file = identify_file(host.paths.bundle(id) / "conmon.pid");
  const ProcessId conmon = run.conmon.pid != 0 ? run.conmon : from_file ? *from_file : ProcessId{};
  if (conmon.pid != 0 && !wait_gone(host, conmon, kConmonWait, {})) end_conmon(conmon);
  end_log_writers(host, id, run);
  // runc makes .pidfile with O_EXCL and renames it: left by one that was killed in between, it
  // would fail every later start.
  for (const char* name : {"pidfile", ".pidfile", "conmon.pid", "oom", "exit", "ctl", "winsz",
                           "attach", "runtime.log"})
    ::unlink((host.paths.bundle(id) / name).c_str());
  ::unlink(host.paths.exit_file(id).c_str());
  return first;
}

namespace {

/// What the process is given anew: its secrets, also those in its environment, and its configs.
Status renew_files(const Host& host, const InstanceRecord& record, const RunState& run) {
  HF_TRY(write_secrets({.paths = host.paths,
                        .id = record.id,
                        .secrets = record.secrets,
                        .rule = host.rules.secret(record.allowed_secret_paths),
                        .owner = {.uid = run.uid, .gid = run.gid},
                        .owners = run.secret_owners}));
  HF_TRY(replace_configs(host.paths, record.id, run.configs));
  if (record.secret_env.empty()) return ok();
  HF_ASSIGN(const auto variables,
            secret_variables(host.paths, record.id, record.secrets, record.secret_env));
  const auto path = host.paths.bundle(record.id) / "config.json";
  HF_ASSIGN(const auto config, os::read_regular_file(path));
  HF_ASSIGN(const auto renewed, with_variables(config, variables));
  return os::write_atomic(path, renewed, 0600, os::Durability::lazy);
}

Status check_root(const Host& host, const plan::InstanceId& id) {
  HF_ASSIGN(const auto config, os::read_regular_file(host.paths.bundle(id) / "config.json"));
  HF_ASSIGN(const auto mounts, service_mounts_of(config));
  return check_root_again(host.paths, id, mounts);
}

}  // namespace

Status restart_instance(const Host& host, const plan::InstanceId& id, const std::stop_token& stop) {
  HF_TRY(check_id(id));
  HF_ASSIGN(const auto record, read_record(host, id));
  HF_ASSIGN(auto run, read_run_state(host, id));
  if (run.phase == Phase::started && alive(run.init))
    return Error{Errc::conflict, fmt::format("{} is running", id.str())};
  if (!run.netns.empty()) {
    HF_ASSIGN(const auto attachment, host.attachments.find(id.str()));
    if (!attachment)
      return Error{Errc::runtime, "its network namespace is gone"}.hint("it is recreated");
  }
  if (auto exit = read_exit(host, id)) run.last_exit = exit;
  const RunState before = run;
  run.phase = Phase::preparing;
  run.init = {};
  run.conmon = {};
  run.log_writer = {};
  HF_TRY(write_run_state(host, id, run));
  HF_TRY(clear_process(host, id, before));
  HF_TRY(renew_files(host, record, run));
  HF_TRY(check_root(host, id));
  host.notify->reset(id);
  auto started = start_process(host, record, run, stop);
  if (!started) {
    const RunState failed = run;
    run = before;
    run.phase = Phase::preparing;
    HF_TRY(clear_process(host, id, failed));
    HF_TRY(write_run_state(host, id, run));
  }
  return started;
}

Result<StopOutcome> stop_instance(const Host& host, const plan::InstanceId& id,
                                  const proto::StopRule& rule, const std::stop_token& stop) {
  HF_TRY(check_id(id));
  const auto run = read_run_state(host, id);
  const auto record = read_record(host, id);
  if (!run || !record || !alive(run->init)) return StopOutcome::ended;
  const auto group = host.group(id);
  // The rule may be younger than the record: it changes without a new instance.
  int signal = record->stop_signal;
  if (!rule.signal.empty()) {
    HF_ASSIGN(signal, parse_signal(rule.signal));
  }
  // Signalled first: what was frozen sees the signal before it does anything else.
  send_signal(run->init, signal);
  if (host.cgroups.frozen(group)) HF_TRY(host.cgroups.thaw(group));
  auto outcome = StopOutcome::ended;
  if (!wait_gone(host, run->init, rule.timeout, stop)) {
    if (stop.stop_requested()) return Error{Errc::cancelled, "stop instance"};
    send_signal(run->init, SIGKILL);
    outcome = StopOutcome::killed;
    constexpr Milliseconds kKillWait{5'000};
    if (!wait_gone(host, run->init, kKillWait, {}))
      return Error{Errc::timed_out,
                   fmt::format("process {} does not end after SIGKILL", run->init.pid)}
          .hint("it hangs in the kernel: see its stack in /proc");
  }
  constexpr Milliseconds kExitFileWait{2'000};
  wait_exit_file(host, id, *run, kExitFileWait);
  return outcome;
}

}  // namespace holdfast::deploy::runtime
