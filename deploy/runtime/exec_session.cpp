#include "deploy/runtime/exec_session.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "common/os/marked_processes.hpp"
#include "deploy/runtime/exec_sessions.hpp"
#include "deploy/runtime/host/oci_runtime.hpp"
#include "proto/api/codec.hpp"
#include "proto/api/exec_frames.hpp"

namespace holdfast::deploy::runtime {
namespace {

namespace api = proto::api;

constexpr Milliseconds kEndsWithin{5'000};  ///< once it was told to
constexpr Milliseconds kFrameWithin{1'000};
constexpr Milliseconds kKillsWithin{2'000};
constexpr int kLookMs = 1'000;
/// Between the end of a command that the kernel kills with its instance and that of the instance.
constexpr Milliseconds kInstanceEndsWithin{250};

/// All of it, or until the peer does not take it.
void send_all(int socket, std::string_view bytes) {
  const SystemClock clock;
  const auto until = clock.boot() + kFrameWithin;
  while (!bytes.empty() && clock.boot() < until) {
    const auto sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) bytes.remove_prefix(static_cast<std::size_t>(sent));
    if (sent < 0 && errno != EAGAIN && errno != EINTR) return;
    pollfd waiting{socket, POLLOUT, 0};
    if (!bytes.empty()) (void)::poll(&waiting, 1, kLookMs);
  }
}

/// Both ends are sockets: writing to one whose reader has gone is no signal then.
Result<std::pair<os::UniqueFd, os::UniqueFd>> make_pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return errno_error(errno, "make a pair of sockets");
  return std::pair{os::UniqueFd{ends[0]}, os::UniqueFd{ends[1]}};
}

/// Whether the last frame that the client was sent is one: else an end would be taken for more of
/// it, and the closed connection has to say it.
bool is_whole(const std::optional<api::ExecReport>& report) {
  return report && report->stop != api::ExecStop::slow_client &&
         report->stop != api::ExecStop::client_gone;
}

/// Whether it ends within that time.
bool ends(const ProcessId& process, Milliseconds within) {
  const auto pidfd = os::open_pidfd(process.pid);
  if (!alive(process)) return true;
  if (!pidfd) return false;
  pollfd ended{pidfd->get(), POLLIN, 0};
  return ::poll(&ended, 1, static_cast<int>(within.count())) > 0;
}

void send_byte(const os::UniqueFd& control) {
  if (control) (void)!::send(control.get(), "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace

ExecSession::ExecSession(ExecSessions& sessions, const Host& host, Asked asked, std::string number)
    : sessions_(sessions), host_(host), asked_(std::move(asked)), number_(std::move(number)) {}

ExecSession::~ExecSession() {
  for (const auto* what : {"json", "pid", "log", "tty"}) ::unlink(file(what).c_str());
}

std::filesystem::path ExecSession::file(std::string_view what) const {
  return host_.paths.bundle(asked_.id) / fmt::format("exec-{}.{}", number_, what);
}

std::filesystem::path ExecSession::processes() const {
  return host_.cgroups.list_of_processes(host_.group(asked_.id));
}

std::string ExecSession::mark() const { return fmt::format("{}{};", sessions_.marks(), number_); }

/// As the runtime has written it down; 0 before that. Its carrier is not waited for yet, so nobody
/// else has the number.
pid_t ExecSession::command_pid() const {
  const auto text = os::read_regular_file(file("pid"), 64);
  const auto pid = text ? parse_number(trim(*text)) : Result<std::uint64_t>{std::uint64_t{0}};
  return pid ? static_cast<pid_t>(*pid) : pid_t{0};
}

void ExecSession::tell(const std::string& reason) {
  const std::lock_guard lock{mutex_};
  if (!reason_.empty()) return;
  reason_ = reason;
  send_byte(control_);
}

api::ExecEnd ExecSession::run(os::UniqueFd client, const std::stop_token& stop) {
  api::ExecEnd end;
  if (auto entered = sessions_.enter(*this); !entered) {
    end = exec_end(entered.error());
  } else {
    auto report = supervise(client.get(), stop);
    const bool whole = !report || is_whole(*report);
    end = report ? exec_end(outcome(std::move(*report))) : exec_end(report.error());
    sessions_.leave(*this);
    if (!whole) return end;
  }
  send_all(client.get(), api::exec_frame(api::ExecFrame::ended, api::encode(end)));
  return end;
}

/// How it ended, as its process says; none: it said nothing.
Result<std::optional<api::ExecReport>> ExecSession::supervise(int client,
                                                              const std::stop_token& stop) {
  HF_ASSIGN(const auto bundle, os::open_file(host_.paths.bundle(asked_.id), O_PATH | O_DIRECTORY));
  // A path of any length fits into the address of a socket so.
  const auto console = fmt::format("/proc/{}/fd/{}/exec-{}.tty", ::getpid(), bundle.get(), number_);
  HF_ASSIGN(const auto carrier, start(client, console));
  const std::stop_callback on_stop{stop, [this] { tell("goes on, but the agent stops"); }};
  auto report = await_report(carrier);
  {
    const std::lock_guard lock{mutex_};
    control_.reset();
  }
  if (report) return report;
  carrier.process.kill(SIGKILL);
  (void)os::end_marked(processes(), {mark(), command_pid()}, kKillsWithin);
  return report;
}

std::vector<std::string> ExecSession::arguments(const std::string& console) const {
  std::vector<std::string> argv{host_.exec_session.string(),
                                mark(),
                                processes().string(),
                                file("pid").string(),
                                asked_.terminal ? console : "-",
                                asked_.input ? "1" : "0",
                                std::to_string(asked_.rows),
                                std::to_string(asked_.columns),
                                api::encode(agent_ended()),
                                "--"};
  for (auto& argument : host_.runtime.detached_exec(
           asked_.id, {.process_json = file("json"),
                      .pid_file = file("pid"),
                      .log = file("log"),
                      .console = asked_.terminal ? console : std::string{}}))
    argv.push_back(std::move(argument));
  return argv;
}

Result<ExecSession::Carrier> ExecSession::start(int client, const std::string& console) {
  HF_ASSIGN(auto control, make_pair());
  HF_ASSIGN(auto result, os::make_pipe());
  HF_ASSIGN(const auto null, os::open_file("/dev/null", O_RDWR));
  auto spawned = os::Process::spawn(
      {.argv = arguments(console),
       .env = {os::kChildPath},
       .fds = {{control.first.get(), 0}, {result.second.get(), 1}, {null.get(), 2}, {client, 3}},
       .directory = "/",
       .new_session = true});
  if (!spawned)
    return std::move(spawned)
        .error()
        .in("start the session")
        .hint("install holdfast-exec beside holdfastd");
  const std::lock_guard lock{mutex_};
  control_ = std::move(control.second);
  if (!reason_.empty()) send_byte(control_);
  return Carrier{std::move(*spawned), std::move(result.first)};
}

/// Until it has said all, or does not end although it was told to.
std::optional<api::ExecReport> ExecSession::await_report(const Carrier& carrier) {
  std::string line;
  std::optional<BootTime> deadline;
  while (line.size() < api::kMostOfExecReport) {
    pollfd waiting{carrier.result.get(), POLLIN, 0};
    std::array<char, 64> piece;
    if (::poll(&waiting, 1, kLookMs) > 0) {
      const auto got = ::read(carrier.result.get(), piece.data(), piece.size());
      if (got == 0) break;
      if (got > 0) line.append(piece.data(), static_cast<std::size_t>(got));
    }
    const std::lock_guard lock{mutex_};
    if (!reason_.empty() && !deadline) deadline = host_.clock.boot() + kEndsWithin;
    if (deadline && host_.clock.boot() >= *deadline) break;
  }
  return api::exec_report_of(line);
}

ExecOutcome ExecSession::outcome(std::optional<api::ExecReport> report) const {
  const bool doubtful = report && may_be_by_the_instance(*report);
  const bool instance_ended = ends(asked_.init, doubtful ? kInstanceEndsWithin : Milliseconds{0});
  const std::lock_guard lock{mutex_};
  const bool told =
      !report || report->stop == api::ExecStop::told || report->stop == api::ExecStop::not_started;
  ExecOutcome known{.instance = asked_.id,
                    .report = std::move(report),
                    .told = told ? reason_ : std::string{},
                    .instance_ended = instance_ended,
                    .runtime_log = {}};
  constexpr std::size_t kMostLog = 1U << 20;
  if (auto log = os::read_regular_file(file("log"), kMostLog)) known.runtime_log = std::move(*log);
  return known;
}

}  // namespace holdfast::deploy::runtime
