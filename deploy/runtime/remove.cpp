#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "common/os/file.hpp"
#include "common/os/process.hpp"
#include "deploy/runtime/lifecycle.hpp"
#include "deploy/runtime/storage/mounts.hpp"

namespace holdfast::deploy::runtime {
namespace {

/// A group is busy for a moment after its last process ended.
Status remove_group(const Host& host, const plan::InstanceId& id) {
  constexpr Milliseconds kStep{2};
  constexpr int kTries = 500;
  for (int i = 0; i < kTries; ++i) {
    if (host.cgroups.remove(host.group(id))) return ok();
    HF_TRY(host.cgroups.kill_all(host.group(id)));
    os::sleep_until(host.clock.boot() + kStep, {});
  }
  return Error{Errc::busy, fmt::format("control group {} still has processes", host.group(id))};
}

/// With the last instance only: one that is being made has a record before it has a group. A
/// supervisor that has ended keeps its group busy for a moment.
void remove_shared_groups(const Host& host) {
  constexpr Milliseconds kStep{2};
  constexpr int kTries = 100;
  for (int i = 0; i < kTries; ++i) {
    std::error_code unknown;
    if (!std::filesystem::is_empty(host.paths.instances(), unknown) || unknown) return;
    if (host.cgroups.remove_empty(host.supervisors()) &&
        host.cgroups.remove_empty(host.group_parent))
      return;
    os::sleep_until(host.clock.boot() + kStep, {});
  }
}

/// An empty log tells nothing; one with lines is kept for `holdfast logs` until it is old or too
/// large (logs.hpp).
Status keep_log(const Host& host, const InstanceRecord& record) {
  const auto log = host.paths.log(record.service, record.id);
  std::error_code ignored;
  if (std::filesystem::file_size(log, ignored) == 0 && !ignored) ::unlink(log.c_str());
  return prune_logs(host.paths, record.service, log_keep(host));
}

}  // namespace

LogKeep log_keep(const Host& host) {
  return {.total = Bytes{2 * host.log_max_size.value()}, .now = host.clock.wall()};
}

Status remove_instance(const Host& host, const plan::InstanceId& id) {
  HF_TRY(check_id(id));
  Status first = ok();
  const auto step = [&first](Status done, std::string_view what) {
    if (first && !done) first = std::move(done).error().in(what);
  };
  const auto run = read_run_state(host, id);
  const auto record = read_record(host, id);
  step(clear_process(host, id, run ? *run : RunState{}), "end its processes");
  step(unmount_below(host.paths.mount(id)), "unmount");
  step(remove_group(host, id), "remove its control group");
  step(host.attachments.detach(id.str()), "detach its network");
  step(os::remove_tree(host.paths.mount(id)), "remove its mount points");
  host.notify->forget(id);
  step(os::remove_tree(host.paths.bundle(id)), "remove its bundle");
  // Last, and only when nothing else is left: while the record exists, the instance is seen and
  // removed again.
  if (first) step(os::remove_tree(host.paths.kept(id)), "remove its record");
  if (record) step(keep_log(host, *record), "shorten the logs of its service");
  remove_shared_groups(host);
  return first;
}

}  // namespace holdfast::deploy::runtime
