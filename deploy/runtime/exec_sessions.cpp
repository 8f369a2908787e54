#include "deploy/runtime/exec_sessions.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

#include "common/base/text.hpp"
#include "common/log/log.hpp"
#include "common/os/file.hpp"
#include "common/os/marked_processes.hpp"
#include "common/os/process.hpp"
#include "deploy/runtime/host/instance_files.hpp"
#include "deploy/runtime/host/oci_runtime.hpp"
#include "deploy/runtime/spec/exec_process.hpp"
#include "deploy/runtime/spec/root_path.hpp"
#include "deploy/runtime/spec/user.hpp"
#include "proto/api/codec.hpp"
#include "proto/api/exec_frames.hpp"

namespace holdfast::deploy::runtime {
namespace {

namespace api = proto::api;

constexpr std::string_view kMarkName = "HOLDFAST_EXEC=";
constexpr Milliseconds kEndsWithin{15'000};  ///< once it was told to
constexpr Milliseconds kFrameWithin{30'000};
constexpr Milliseconds kSweepWithin{2'000};
constexpr int kNotExecutable = 126;
constexpr int kNotThere = 127;

api::ErrorBody body_of(const Error& error) {
  return {std::string{code(error.code())}, error.what(), error.next_step()};
}

Error ended_with(const InstanceId& id, const std::string& reason) {
  return Error{Errc::conflict, fmt::format("{} {}: the session has ended", id.str(), reason)}.hint(
      "holdfast status names the instance that serves");
}

Error agent_ends() {
  return Error{Errc::unreachable, "the agent has ended, and the session with it"}.hint(
      "the service goes on; when the agent is back, begin again");
}

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

/// All of it, or until the peer does not take it.
void send_all(int socket, std::string_view bytes) {
  const SystemClock clock;
  const auto until = clock.boot() + kFrameWithin;
  while (!bytes.empty() && clock.boot() < until) {
    const auto sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) bytes.remove_prefix(static_cast<std::size_t>(sent));
    if (sent < 0 && errno != EAGAIN && errno != EINTR) return;
    pollfd waiting{socket, POLLOUT, 0};
    constexpr int kStepMs = 1'000;
    if (!bytes.empty()) (void)::poll(&waiting, 1, kStepMs);
  }
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
    return ended_with(session.instance(), why->second);
  if (host_.cgroups.frozen(host_.group(session.instance())))
    return ended_with(session.instance(), "is frozen as standby");
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
    const auto found = os::kill_marked(list, kMarkName);
    if (found == 0) continue;
    log::warn("event=exec_left_over instance={} processes={} ended={}", id.str(), found,
              os::end_marked(list, kMarkName, kSweepWithin));
  }
}

ExecSession::ExecSession(ExecSessions& sessions, Asked asked, std::string number)
    : sessions_(sessions), asked_(std::move(asked)), number_(std::move(number)) {}

ExecSession::~ExecSession() {
  for (const auto* what : {"json", "pid", "log", "tty"}) ::unlink(file(what).c_str());
}

std::filesystem::path ExecSession::file(std::string_view what) const {
  return sessions_.host_.paths.bundle(asked_.id) / fmt::format("exec-{}.{}", number_, what);
}

std::string ExecSession::mark() const { return fmt::format("{}{}", kMarkName, number_); }

void ExecSession::tell(const std::string& reason) {
  const std::lock_guard lock{mutex_};
  if (!reason_.empty()) return;
  reason_ = reason;
  if (control_) (void)!::write(control_.get(), "x", 1);
}

api::ExecEnd ExecSession::run(os::UniqueFd client, const std::stop_token& stop) {
  api::ExecEnd end;
  if (auto entered = sessions_.enter(*this); !entered) {
    end.error = body_of(entered.error());
  } else {
    end = end_of(supervise(client.get(), stop));
    sessions_.leave(*this);
  }
  send_all(client.get(), api::exec_frame(api::ExecFrame::ended, api::encode(end)));
  return end;
}

/// The line in which its process says how it ended.
Result<std::string> ExecSession::supervise(int client, const std::stop_token& stop) {
  const auto& host = sessions_.host_;
  const auto list = host.cgroups.list_of_processes(host.group(asked_.id));
  HF_ASSIGN(auto control, os::make_pipe());
  HF_ASSIGN(auto result, os::make_pipe());
  HF_ASSIGN(const auto null, os::open_file("/dev/null", O_RDWR));
  HF_ASSIGN(const auto bundle, os::open_file(host.paths.bundle(asked_.id), O_PATH | O_DIRECTORY));
  // A path of any length fits into the address of a socket so.
  const auto console = fmt::format("/proc/{}/fd/{}/exec-{}.tty", ::getpid(), bundle.get(), number_);
  std::vector<std::string> argv{host.exec_session.string(),
                                mark(),
                                list.string(),
                                file("pid").string(),
                                asked_.terminal ? console : "-",
                                asked_.input ? "1" : "0",
                                std::to_string(asked_.rows),
                                std::to_string(asked_.columns),
                                api::encode(api::ExecEnd{0, body_of(agent_ends())}),
                                "--"};
  for (auto& arg :
       host.runtime.detached_exec(asked_.id, {.process_json = file("json"),
                                             .pid_file = file("pid"),
                                             .log = file("log"),
                                             .console = asked_.terminal ? console : std::string{}}))
    argv.push_back(std::move(arg));
  auto spawned = os::Process::spawn(
      {.argv = std::move(argv),
       .env = {os::kChildPath},
       .fds = {{control.first.get(), 0}, {result.second.get(), 1}, {null.get(), 2}, {client, 3}},
       .directory = "/",
       .new_session = true});
  if (!spawned)
    return std::move(spawned)
        .error()
        .in("start the session")
        .hint("install holdfast-exec beside holdfastd");
  control.first.reset();
  result.second.reset();
  {
    const std::lock_guard lock{mutex_};
    control_ = std::move(control.second);
    if (!reason_.empty()) (void)!::write(control_.get(), "x", 1);
  }
  const std::stop_callback on_stop{stop, [this] { tell("goes on, but the agent stops"); }};
  std::string line;
  std::optional<BootTime> deadline;
  for (;;) {
    constexpr int kStepMs = 1'000;
    pollfd waiting{result.first.get(), POLLIN, 0};
    (void)::poll(&waiting, 1, kStepMs);
    std::array<char, 64> piece;
    const auto got =
        waiting.revents == 0 ? -1 : ::read(result.first.get(), piece.data(), piece.size());
    if (got == 0) break;
    if (got > 0) line.append(piece.data(), static_cast<std::size_t>(got));
    const std::lock_guard lock{mutex_};
    if (!reason_.empty() && !deadline) deadline = host.clock.boot() + kEndsWithin;
    if (deadline && host.clock.boot() >= *deadline) break;  // `spawned` is killed
  }
  {
    const std::lock_guard lock{mutex_};
    control_.reset();
  }
  if (!line.empty()) return line;
  spawned->kill(SIGKILL);
  (void)os::end_marked(list, mark(), kSweepWithin);
  return Error{Errc::internal, "the process of the session ended without a word"};
}

api::ExecEnd ExecSession::end_of(const Result<std::string>& outcome) const {
  if (!outcome) return {0, body_of(outcome.error())};
  const auto words = split(trim(*outcome), ' ');
  const auto word = words.front();
  const auto number = parse_number(words.back());
  // Whatever a shell says of itself after its children were killed.
  constexpr std::uint64_t kKilled = 128 + SIGKILL;
  api::ExecEnd end{word == "exited" && number ? *number : kKilled, std::nullopt};
  if (word == "not_started") return not_started();
  if (word == "told") end.error = body_of(ended_with(asked_.id, reason_));
  if (word == "client_gone") end.error = body_of({Errc::cancelled, "the client went away"});
  if (word == "slow_client")
    end.error = body_of({Errc::timed_out, "the client took no output for 30 s"});
  if (word == "bad_frame")
    end.error = body_of(Error{Errc::usage, "the client sent what is no frame of a session"}.hint(
        "check that client and agent have the same version: holdfast version"));
  if (word == "idle")
    end.error = body_of({Errc::timed_out, "nothing came from either side for 4 h"});
  if (word == "exited" && end.exit_code == kKilled && !alive(asked_.init))
    end.error = body_of(ended_with(asked_.id, "has ended"));
  return end;
}

/// 126 and 127 as a shell: a program that cannot be run, and one that is not there.
api::ExecEnd ExecSession::not_started() const {
  if (!alive(asked_.init)) return {0, body_of(ended_with(asked_.id, "has ended"))};
  const auto log = os::read_regular_file(file("log"), 1U << 20);
  auto reason = runtime_reason(log ? *log : std::string{}, {});
  constexpr std::string_view kNoise = "exec failed: ";
  if (reason.starts_with(kNoise)) reason.erase(0, kNoise.size());
  const auto has = [&](std::string_view part) { return reason.find(part) != std::string::npos; };
  const bool in_directory = has("chdir") || has("cwd");
  api::ExecEnd end;
  if (has("executable file not found") || (has("no such file or directory") && !in_directory)) {
    end.exit_code = kNotThere;
    end.error = body_of(Error{Errc::not_found, reason}.hint(
        "the program has to be in the image: holdfast exec SERVICE -- ls /bin"));
  } else if (in_directory || has("permission denied") || has("exec format error") ||
             has("is a directory")) {
    end.exit_code = kNotExecutable;
    end.error = body_of(Error{Errc::runtime, reason}.hint(
        in_directory ? "name a directory of the instance with --workdir"
                     : "check the program's mode and for which machine it was built"));
  } else {
    end.error = body_of(runtime_error(reason));
  }
  return end;
}

}  // namespace holdfast::deploy::runtime
