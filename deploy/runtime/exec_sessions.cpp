#include "deploy/runtime/exec_sessions.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/random.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <span>

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

/// Random, and the same until the host goes down: the agent that comes after a kill knows its own
/// by it. Where it cannot be kept, they are found by this life alone.
std::string token_of(const std::filesystem::path& run_dir) {
  const auto file = run_dir / "exec-token";
  constexpr std::size_t kBytes = 16;
  if (const auto known = os::read_regular_file(file, 2 * kBytes);
      known && known->size() == 2 * kBytes)
    return *known;
  std::array<unsigned char, kBytes> random{};
  if (::getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size()))
    log::warn("event=no_random_bytes errno={}", errno);
  const auto token = to_hex(std::as_bytes(std::span{random}));
  if (auto kept = os::write_atomic(file, token, 0600, os::Durability::lazy); !kept)
    log::warn("event=exec_token_not_kept error={}", log::field(kept.error().to_string()));
  return token;
}

/// Values of variables may be in them.
void remove_files(const std::filesystem::path& bundle) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator{bundle, ignored})
    if (entry.path().filename().string().starts_with("exec-")) ::unlink(entry.path().c_str());
}

/// Looked up as the container has it, which may have led it elsewhere meanwhile: never to what is
/// behind a descriptor (CVE-2024-21626).
Status check_directory(const ProcessId& init, const std::string& path) {
  const Error refused{Errc::usage, "the working directory may not be below /proc"};
  if (is_within(path, "/proc")) return refused;
  HF_ASSIGN(const auto root,
            os::open_file(fmt::format("/proc/{}/root", init.pid), O_PATH | O_DIRECTORY));
  if (!alive(init)) return Error{Errc::conflict, "the instance has ended"};
  auto directory = open_in_root(root.get(), path, O_PATH | O_DIRECTORY);
  if (!directory) return ok();  // which the runtime will say
  struct statfs of {};
  if (::fstatfs(directory->get(), &of) == 0 && of.f_type != PROC_SUPER_MAGIC) return ok();
  return refused;
}

Result<ExecProcess> process_of(const Host& host, const api::ExecRequest& request,
                               const ProcessId& init, std::string mark) {
  ExecProcess process{
      .args = request.command, .env = request.env, .user = {}, .cwd = {}, .console = {}};
  process.env.push_back(std::move(mark));
  if (!request.workdir.empty()) {
    process.cwd = clean_path(request.workdir);
    HF_TRY(check_directory(init, process.cwd));
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
      marks_(fmt::format("HOLDFAST_EXEC={}-", token_of(host.paths.run_dir))),
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
  HF_ASSIGN(const auto process, process_of(host_, request, run->init, session->mark()));
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
  if (!alive(session.asked_.init)) return session_ended(session.instance(), "was started again");
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
  const auto until = host_.clock.boot() + kSweepWithin;
  for (const auto& id : ids) {
    remove_files(host_.paths.bundle(id));
    const auto list = host_.cgroups.list_of_processes(host_.group(id));
    const auto found = os::kill_marked(list, {marks_});
    if (found == 0) continue;
    const auto left =
        std::max(std::chrono::ceil<Milliseconds>(until - host_.clock.boot()), Milliseconds{0});
    log::warn("event=exec_left_over instance={} processes={} ended={}", id.str(), found,
              os::end_marked(list, {marks_}, left));
  }
}

}  // namespace holdfast::deploy::runtime
