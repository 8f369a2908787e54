#include "deploy/runtime/host/conmon.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cerrno>

#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "common/os/process.hpp"
#include "deploy/runtime/record/small_file.hpp"

namespace holdfast::deploy::runtime {
namespace {

namespace json = boost::json;
constexpr int kStartPipe = 3;
constexpr int kSyncPipe = 4;
constexpr std::size_t kMaxSync = 64U << 10;
constexpr const char* kComplaints = "conmon.err";  ///< what it writes before it has a log

std::vector<std::string> arguments(const ConmonRequest& r) {
  std::vector<std::string> argv{"conmon",
                                "--api-version",
                                "1",
                                "-c",
                                r.id.str(),
                                "-u",
                                r.id.str(),
                                "-n",
                                r.name,
                                "-r",
                                r.runtime.program(),
                                "-b",
                                r.bundle.string(),
                                "-p",
                                (r.bundle / "pidfile").string(),
                                "-P",
                                (r.bundle / "conmon.pid").string(),
                                "--exit-dir",
                                r.exits.string(),
                                "--persist-dir",
                                r.bundle.string(),
                                "-l",
                                "k8s-file:" + r.log.string(),
                                "--no-sync-log",  // a FIFO has nothing to sync
                                "--full-attach"};
  for (auto& arg : r.runtime.global_args(r.bundle / "runtime.log")) {
    argv.emplace_back("--runtime-arg");
    argv.push_back(std::move(arg));
  }
  return argv;
}

struct SyncMessage {
  int pid = -1;
  std::string text;
};

Result<SyncMessage> parse_sync(const std::string& line) {
  try {
    const auto value = json::parse(line).as_object();
    SyncMessage message{.pid = value.at("data").to_number<int>(), .text = {}};
    if (const auto* text = value.if_contains("message"); text != nullptr && text->is_string())
      message.text = std::string{text->as_string()};
    return message;
  } catch (const std::exception& e) {
    return Error{Errc::conmon,
                 fmt::format("conmon answered \"{}\": {}", printable(line), e.what())};
  }
}

/// One line, or what there was at the end of the pipe.
Result<std::string> read_line(int fd, BootTime deadline, const std::stop_token& stop) {
  std::string line;
  while (line.find('\n') == std::string::npos && line.size() < kMaxSync) {
    if (stop.stop_requested()) return Error{Errc::cancelled, "wait for the runtime"};
    const auto left = std::chrono::ceil<Milliseconds>(deadline - SystemClock{}.boot());
    if (left.count() <= 0)
      return Error{Errc::timed_out,
                   fmt::format("the runtime did not create the container within {}",
                               human_duration(kRuntimeTimeout))};
    constexpr Milliseconds kStopCheck{200};
    pollfd waiting{fd, POLLIN, 0};
    if (::poll(&waiting, 1, static_cast<int>(std::min(left, kStopCheck).count())) <= 0) continue;
    char buffer[4096];
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    line.append(buffer, static_cast<std::size_t>(got));
  }
  return line;
}

std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> out;
  const auto text =
      os::read_regular_file(fmt::format("/proc/{}/task/{}/children", pid, pid), 64U << 10);
  if (!text) return out;
  for (const auto word : split(*text, ' '))
    if (const auto child = parse_number(trim(word)); child && *child > 1)
      out.push_back(static_cast<pid_t>(*child));
  return out;
}

Result<Supervised> finish(const ConmonRequest& request, const std::string& line) {
  if (line.empty()) {
    const auto said = os::read_regular_file(request.bundle / kComplaints, kMaxSync);
    return Error{Errc::conmon, fmt::format("conmon ended without an answer: {}",
                                           said ? printable(trim(*said)) : "")}
        .hint("conmon --version must say 2.0 or newer");
  }
  HF_ASSIGN(const auto message, parse_sync(line));
  if (message.pid <= 0) {
    const auto log = os::read_regular_file(request.bundle / "runtime.log", 1U << 20);
    return runtime_error(runtime_reason(log ? *log : std::string{}, message.text))
        .in("create the container");
  }
  HF_ASSIGN(const auto init, identify(message.pid));
  HF_ASSIGN(const auto conmon, identify_file(request.bundle / "conmon.pid"));
  return Supervised{.init = init, .conmon = conmon};
}

}  // namespace

Result<std::string> probe_conmon() {
  auto answer = os::run({.spawn = {.argv = {"conmon", "--version"},
                                   .env = {os::kChildPath},
                                   .fds = {},
                                   .directory = "/",
                                   .new_session = true},
                         .input = {},
                         .timeout = Milliseconds{5'000},
                         .output_limit = 4096});
  if (!answer) return Error{Errc::conmon, answer.error().what()}.hint("apt install conmon");
  if (!os::succeeded(answer->status))
    return Error{Errc::conmon, "conmon --version: " + os::describe(answer->status)}.hint(
        "apt install --reinstall conmon");
  return printable(split(answer->out, '\n').front());
}

Result<ProcessId> identify_file(const std::filesystem::path& pid_file) {
  HF_ASSIGN(const auto text, os::read_regular_file(pid_file, 64));
  const auto pid = parse_number(trim(text));
  if (!pid || *pid < 2) return Error{Errc::not_found, pid_file.string() + " holds no pid"};
  return identify(static_cast<pid_t>(*pid));
}

Result<Supervised> create_supervised(const ConmonRequest& request, const std::stop_token& stop) {
  HF_ASSIGN(auto start_pipe, os::make_pipe());
  HF_ASSIGN(auto sync_pipe, os::make_pipe());
  HF_ASSIGN(const auto null, os::open_file("/dev/null", O_RDWR));
  HF_ASSIGN(const auto complaints,
            os::open_file(request.bundle / kComplaints, O_WRONLY | O_CREAT | O_TRUNC, 0600));
  auto spawned =
      os::Process::spawn({.argv = arguments(request),
                          .env = {os::kChildPath, fmt::format("_OCI_STARTPIPE={}", kStartPipe),
                                  fmt::format("_OCI_SYNCPIPE={}", kSyncPipe)},
                          .fds = {{null.get(), 0},
                                  {null.get(), 1},
                                  {complaints.get(), 2},
                                  {start_pipe.first.get(), kStartPipe},
                                  {sync_pipe.second.get(), kSyncPipe}},
                          .directory = request.bundle.string(),
                          .new_session = false});
  if (!spawned) return Error{Errc::conmon, spawned.error().what()}.hint("apt install conmon");
  sync_pipe.second.reset();
  const BootTime deadline = SystemClock{}.boot() + kRuntimeTimeout;
  HF_TRY(request.place(spawned->pid()));
  HF_TRY(os::write_all(start_pipe.second.get(), "x"));
  start_pipe.second.reset();
  start_pipe.first
      .reset();  // kept open until here: a conmon that ended early must not raise SIGPIPE
  // It forks twice and its parent ends with 0 even when the container could not be created: only
  // the pipe tells.
  auto ended = spawned->wait(deadline, stop);
  auto line = ended ? read_line(sync_pipe.first.get(), deadline, stop)
                    : Result<std::string>{std::move(ended).error()};
  if (!line) {
    if (const auto conmon = identify_file(request.bundle / "conmon.pid")) end_conmon(*conmon);
    return std::move(line).error();
  }
  return finish(request, *line);
}

std::vector<ProcessId> find_conmons(const std::filesystem::path& bundle) {
  std::vector<ProcessId> out;
  const std::string wanted = bundle.string();
  std::error_code bad;
  for (const auto& entry : std::filesystem::directory_iterator{"/proc", bad}) {
    const auto pid = parse_number(entry.path().filename().string());
    if (!pid) continue;
    const auto arguments_of = read_small(entry.path().string() + "/cmdline");
    if (!arguments_of || !arguments_of->starts_with("conmon")) continue;
    const auto words = split(*arguments_of, '\0');
    const auto bundle_flag = std::find(words.begin(), words.end(), "-b");
    if (words.end() - bundle_flag < 2 || bundle_flag[1] != wanted) continue;
    if (const auto process = identify(static_cast<pid_t>(*pid))) out.push_back(*process);
  }
  return out;
}

void end_conmon(const ProcessId& conmon) {
  if (!alive(conmon)) return;
  // Stopped first, so that it starts nothing while its children are ended.
  ::kill(conmon.pid, SIGSTOP);
  std::vector<os::UniqueFd> ending;
  for (const pid_t child : children_of(conmon.pid)) {
    if (auto pidfd = os::open_pidfd(child)) ending.push_back(std::move(*pidfd));
    ::kill(child, SIGKILL);
  }
  ::kill(conmon.pid, SIGKILL);
  // Killed is not gone: a runtime may still be making a directory that its removal did not see.
  constexpr int kEndsWithinMs = 1000;
  for (const auto& pidfd : ending) {
    pollfd ended{pidfd.get(), POLLIN, 0};
    (void)::poll(&ended, 1, kEndsWithinMs);
  }
}

}  // namespace holdfast::deploy::runtime
