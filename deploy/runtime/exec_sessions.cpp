#include "deploy/runtime/exec_sessions.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "common/base/text.hpp"
#include "common/log/log.hpp"
#include "common/os/file.hpp"
#include "common/os/marked_processes.hpp"
#include "deploy/runtime/host/instance_files.hpp"
#include "deploy/runtime/spec/exec_process.hpp"
#include "deploy/runtime/spec/root_path.hpp"
#include "deploy/runtime/spec/user.hpp"

namespace holdfast::deploy::runtime {
namespace {

namespace api = proto::api;

constexpr Milliseconds kSweepWithin{2'000};

Result<ExecProcess> process_of(const Host& host, const api::ExecRequest& request,
                               std::string mark) {
  ExecProcess process{
      .args = request.command, .env = request.env, .user = {}, .cwd = {}, .console = {}};
  process.env.push_back(std::move(mark));
  if (!request.workdir.empty()) {
    process.cwd = clean_path(request.workdir);
    if (is_within(process.cwd, "/proc"))  // CVE-2024-21626
      return Error{Errc::usage, "the working directory may not be below /proc"};
  }
  if (request.terminal)
    process.console = ConsoleSize{static_cast<std::uint16_t>(request.rows),
                                  static_cast<std::uint16_t>(request.columns)};
  if (request.user.empty()) return process;
  HF_ASSIGN(const auto root, os::open_file(host.paths.rootfs(InstanceId{request.instance}),
                                           O_PATH | O_DIRECTORY | O_NOFOLLOW));
  HF_ASSIGN(process.user, resolve_user(root.get(), request.user));
  return process;
}

}  // namespace

ExecSessions::ExecSessions(const Host& host)
    : host_(host),
      life_(fmt::format("{}-{}", ::getpid(), host.clock.boot().time_since_epoch().count())) {}

Result<std::unique_ptr<ExecSession>> ExecSessions::prepare(const api::ExecRequest& request) {
  const InstanceId id{request.instance};
  HF_TRY(check_id(id));
  const auto record = read_record(host_, id);
  if (!record || record->service.str() != request.service)
    return Error{Errc::not_found, fmt::format("{} has no instance {}", printable(request.service),
                                              printable(id.str()))}
        .hint("holdfast status names the one that serves");
  const auto run = read_run_state(host_, id);
  if (!run || run->phase != Phase::started || !alive(run->init))
    return Error{Errc::conflict, fmt::format("{} does not run", id.str())}.hint(
        "holdfast status and holdfast logs say why");
  if (host_.cgroups.frozen(host_.group(id)))
    return Error{Errc::conflict, fmt::format("{} is frozen as standby", id.str())}.hint(
        "leave out --instance: the one that serves is the default");
  std::unique_ptr<ExecSession> session{
      new ExecSession{*this,
                      host_,
                      {.id = id,
                       .init = run->init,
                       .input = request.input,
                       .terminal = request.terminal,
                       .rows = request.rows,
                       .columns = request.columns},
                      fmt::format("{}-{}", life_, sequence_.fetch_add(1))}};
  HF_ASSIGN(const auto process, process_of(host_, request, session->mark()));
  HF_ASSIGN(const auto config, os::read_regular_file(host_.paths.bundle(id) / "config.json"));
  HF_ASSIGN(const auto json, exec_process_json(config, process));
  HF_TRY(os::write_atomic(session->file("json"), json, 0600, os::Durability::lazy));
  return session;
}

Status ExecSessions::enter(ExecSession& session) {
  const std::lock_guard lock{mutex_};
  if (const auto why = shut_.find(session.instance()); why != shut_.end())
    return session_ended(session.instance(), why->second);
  if (host_.cgroups.frozen(host_.group(session.instance())))
    return session_ended(session.instance(), "is frozen as standby");
  running_.emplace(session.instance(), &session);
  return ok();
}

void ExecSessions::leave(ExecSession& session) {
  const std::lock_guard lock{mutex_};
  std::erase_if(running_, [&](const auto& row) { return row.second == &session; });
  changed_.notify_all();
}

std::shared_ptr<void> ExecSessions::shut(const InstanceId& id, const std::string& reason) {
  std::unique_lock lock{mutex_};
  const auto at = shut_.emplace(id, reason);
  const auto [first, last] = running_.equal_range(id);
  for (auto row = first; row != last; ++row) row->second->tell(reason);
  constexpr Milliseconds kWait{1'000};
  changed_.wait_for(lock, kWait, [&] { return !running_.contains(id); });
  return {nullptr, [this, at](void*) {
            const std::lock_guard again{mutex_};
            shut_.erase(at);
          }};
}

void ExecSessions::sweep(const std::set<InstanceId>& ids) const {
  for (const auto& id : ids) {
    const auto list = host_.cgroups.list_of_processes(host_.group(id));
    const auto found = os::kill_marked(list, kExecMark);
    if (found == 0) continue;
    log::warn("event=exec_left_over instance={} processes={} ended={}", id.str(), found,
              os::end_marked(list, kExecMark, kSweepWithin));
  }
}

}  // namespace holdfast::deploy::runtime
