#include "deploy/runtime/host/oci_runtime.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <boost/json.hpp>

#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "common/os/process.hpp"
#include "deploy/runtime/host/runtime_version.hpp"

namespace holdfast::deploy::runtime {
namespace {

namespace json = boost::json;
constexpr std::size_t kMaxLog = 1U << 20;
constexpr std::size_t kMaxReason = 500;

Result<os::RunResult> call(std::vector<std::string> argv, Milliseconds timeout,
                           const std::stop_token& stop = {}, std::size_t output_limit = 64U << 10) {
  return os::run({.spawn = {.argv = std::move(argv),
                            .env = {os::kChildPath},
                            .fds = {},
                            .directory = "/",
                            .new_session = true},
                  .input = {},
                  .timeout = timeout,
                  .output_limit = output_limit},
                 stop);
}

/// conmon wants an absolute path; empty where it is not installed.
std::string locate(const std::string& name) {
  const std::string_view path = std::string_view{os::kChildPath}.substr(5);
  for (const auto directory : split(path, ':'))
    if (auto candidate = fmt::format("{}/{}", directory, name);
        ::access(candidate.c_str(), X_OK) == 0)
      return candidate;
  return {};
}

/// "runc 1.1.5" from "runc version 1.1.5+ds1\ncommit: …".
std::string short_version(const std::string& name, const std::string& output) {
  const std::string line{split(output, '\n').front()};
  const auto space = line.rfind(' ');
  return fmt::format("{} {}", name,
                     printable(space == std::string::npos ? line : line.substr(space + 1)));
}

RuntimeStatus status_from(std::string_view text) {
  if (text == "creating") return RuntimeStatus::creating;
  if (text == "created") return RuntimeStatus::created;
  if (text == "running") return RuntimeStatus::running;
  if (text == "paused") return RuntimeStatus::paused;
  return RuntimeStatus::stopped;
}

std::string last_log_error(const std::string& json_log) {
  std::string last;
  for (const auto line : split(json_log, '\n')) {
    if (trim(line).empty()) continue;
    boost::system::error_code bad;
    const auto value = json::parse(json::string_view{line.data(), line.size()}, bad);
    if (bad || !value.is_object()) continue;
    const auto* level = value.as_object().if_contains("level");
    const auto* message = value.as_object().if_contains("msg");
    if (level == nullptr || message == nullptr || !level->is_string() || !message->is_string())
      continue;
    if (level->as_string() == "error" || level->as_string() == "fatal")
      last = std::string{message->as_string()};
  }
  return last;
}

/// The process that exec started runs on when only the runtime is killed: end its whole session.
void kill_exec(const std::filesystem::path& pid_file) {
  const auto text = os::read_regular_file(pid_file, 64);
  const auto pid =
      text ? parse_number(trim(*text)) : Result<std::uint64_t>{Error{Errc::not_found, ""}};
  if (!pid || *pid < 2) return;
  ::kill(-static_cast<pid_t>(*pid), SIGKILL);
  ::kill(static_cast<pid_t>(*pid), SIGKILL);
}

/// A sysctl that is absent or closed in a container's namespaces is the kernel's doing; a value
/// that it does not take is the document's.
Error sysctl_error(std::string reason) {
  const auto has = [&](std::string_view part) { return reason.find(part) != std::string::npos; };
  if (has("no such file") || has("No such file") || has("ermission denied") ||
      has("ead-only file system") || has("not permitted"))
    return Error{Errc::host, std::move(reason)}.hint(
        "this kernel has no such sysctl for containers: leave it out of sysctls, or set it on the "
        "host");
  return Error{Errc::runtime, std::move(reason)}.hint("check its value in sysctls");
}

/// What runc and crun say where a limit has no controller to go to: no document is to blame.
bool lacks_a_controller(std::string_view reason) {
  const auto has = [&](std::string_view part) {
    return reason.find(part) != std::string_view::npos;
  };
  if (has("cannot set pids limit") || (has("controller") && has("not available"))) return true;
  return has("/sys/fs/cgroup/") && (has("no such file or directory") || has("ermission denied") ||
                                    has("ead-only file system"));
}

}  // namespace

std::string runtime_reason(const std::string& json_log, const std::string& text) {
  std::string reason = last_log_error(json_log);
  if (reason.empty()) reason = std::string{trim(text)};
  // What wraps the cause says nothing to an operator.
  for (const std::string_view noise :
       {"runc create failed: ", "runc run failed: ", "unable to start container process: ",
        "container_linux.go:", "starting container process caused: "})
    for (auto at = reason.find(noise); at != std::string::npos; at = reason.find(noise))
      reason.erase(at, noise.size());
  if (reason.size() > kMaxReason) {
    reason.resize(kMaxReason);
    reason += "…";
  }
  return reason.empty() ? "the runtime gave no reason" : printable(reason);
}

Error runtime_error(std::string reason) {
  const auto has = [&](std::string_view part) { return reason.find(part) != std::string::npos; };
  if (has("/proc/sys/")) return sysctl_error(std::move(reason));
  if (lacks_a_controller(reason))
    return Error{Errc::host, std::move(reason)}.hint(
        "the host's control groups lack what limits need: holdfast doctor names it");
  std::string_view hint = "see the runtime's log of the instance";
  if (has("executable file not found") || has("no such file or directory: unknown") ||
      has("exec: \"")) {
    hint = "check entrypoint and command: the program must exist in the image and be executable";
  } else if (has("exec format error")) {
    hint = "the program is not for this machine's architecture; check the image's platform";
  } else if (has("read-only file system")) {
    hint = "add a volume or tmpfs: [<path>] for it, or security: {read_only: false}";
  } else if (has("permission denied")) {
    hint = "check security.user and the modes in the image";
  } else if (has("seccomp")) {
    hint = "the host's libseccomp or kernel lacks what the profile needs; see holdfast doctor";
  } else if (has("hybrid")) {
    hint = "set runtime: runc in agent.yaml; crun needs a unified cgroup hierarchy";
  } else if (has("memory") && has("cgroup")) {
    hint = "the memory limit is too small to start anything; raise resources.memory";
  }
  return Error{Errc::runtime, std::move(reason)}.hint(hint);
}

Result<OciRuntime> OciRuntime::probe(proto::RuntimeChoice choice, const std::filesystem::path& root,
                                     bool unified_cgroups) {
  constexpr Milliseconds kProbeTimeout{5'000};
  std::vector<std::string> candidates;
  if (choice != proto::RuntimeChoice::crun) candidates.emplace_back("runc");
  if (choice != proto::RuntimeChoice::runc) candidates.emplace_back("crun");
  std::string why;
  for (const auto& name : candidates) {
    const auto program = locate(name);
    if (program.empty()) {
      why += fmt::format("{}{} is not installed", why.empty() ? "" : "; ", name);
      continue;
    }
    const auto answer = call({program, "--version"}, kProbeTimeout);
    if (!answer || !os::succeeded(answer->status)) {
      why +=
          fmt::format("{}{}", why.empty() ? "" : "; ",
                      answer ? fmt::format("{} --version: {}", name, os::describe(answer->status))
                             : answer.error().what());
      continue;
    }
    const auto version = short_version(name, answer->out);
    if (name == "crun" && !unified_cgroups && runtime_version(version) < RuntimeVersion{1, 9, 0}) {
      why += fmt::format("{}{} does not work with a mixed (v1 or hybrid) cgroup hierarchy",
                         why.empty() ? "" : "; ", version);
      continue;
    }
    HF_TRY(os::make_directories(root));
    return OciRuntime{program, version, root};
  }
  return Error{Errc::runtime, "no OCI runtime works here: " + why}.hint(
      "apt install runc, and runtime: runc in agent.yaml");
}

std::vector<std::string> OciRuntime::global_args(const std::filesystem::path& log) const {
  std::vector<std::string> args{"--root", root_.string()};
  if (!log.empty()) args.insert(args.end(), {"--log", log.string(), "--log-format", "json"});
  return args;
}

Result<RuntimeAnswer> OciRuntime::state(const plan::InstanceId& id) const {
  std::vector<std::string> argv{program_};
  for (auto& arg : global_args({})) argv.push_back(std::move(arg));
  argv.insert(argv.end(), {"state", id.str()});
  HF_ASSIGN(const auto answer, call(std::move(argv), kRuntimeTimeout));
  if (!os::succeeded(answer.status)) {
    std::error_code bad;
    if (!std::filesystem::exists(root_ / id.str(), bad)) return RuntimeAnswer{};
    return runtime_error(runtime_reason({}, answer.err))
        .in(fmt::format("{} state {}", program_, id.str()));
  }
  try {
    const auto value = json::parse(answer.out).as_object();
    return RuntimeAnswer{.status = status_from(std::string{value.at("status").as_string()}),
                         .pid = value.at("pid").to_number<int>()};
  } catch (const std::exception& e) {
    return Error{Errc::runtime, fmt::format("{} state {}: {}", program_, id.str(), e.what())};
  }
}

Status OciRuntime::start(const plan::InstanceId& id, const std::filesystem::path& log,
                         const std::stop_token& stop) const {
  std::vector<std::string> argv{program_};
  for (auto& arg : global_args(log)) argv.push_back(std::move(arg));
  argv.insert(argv.end(), {"start", id.str()});
  HF_ASSIGN(const auto answer, call(std::move(argv), kRuntimeTimeout, stop));
  if (os::succeeded(answer.status)) return ok();
  const auto text = os::read_regular_file(log, kMaxLog);
  return runtime_error(runtime_reason(text ? *text : std::string{}, answer.err))
      .in("start the program");
}

Status OciRuntime::remove(const plan::InstanceId& id) const {
  std::vector<std::string> argv{program_};
  for (auto& arg : global_args({})) argv.push_back(std::move(arg));
  argv.insert(argv.end(), {"delete", "--force", id.str()});
  HF_ASSIGN(const auto answer, call(std::move(argv), kRuntimeTimeout));
  std::error_code bad;
  if (os::succeeded(answer.status) || !std::filesystem::exists(root_ / id.str(), bad)) return ok();
  return runtime_error(runtime_reason({}, answer.err))
      .in(fmt::format("{} delete {}", program_, id.str()));
}

std::vector<std::string> OciRuntime::detached_exec(const plan::InstanceId& id,
                                                   const ExecFiles& files) const {
  std::vector<std::string> argv{program_};
  for (auto& arg : global_args(files.log)) argv.push_back(std::move(arg));
  argv.insert(argv.end(), {"exec", "--detach", "--process", files.process_json.string(),
                           "--pid-file", files.pid_file.string()});
  if (!files.console.empty()) argv.insert(argv.end(), {"--console-socket", files.console.string()});
  argv.push_back(id.str());
  return argv;
}

Result<OciRuntime::ExecOutcome> OciRuntime::exec(const ExecRequest& request,
                                                 const std::stop_token& stop) const {
  constexpr std::size_t kMaxOutput = 64U << 10;
  std::vector<std::string> argv{program_};
  for (auto& arg : global_args({})) argv.push_back(std::move(arg));
  argv.insert(argv.end(), {"exec", "--process", request.process_json.string(), "--pid-file",
                           request.pid_file.string(), request.id.str()});
  auto answer = call(std::move(argv), request.timeout, stop, kMaxOutput);
  if (!answer) {
    kill_exec(request.pid_file);
    return std::move(answer).error();
  }
  std::string output = answer->out + answer->err;
  if (output.size() > kMaxOutput) output.resize(kMaxOutput);
  const auto* exited = std::get_if<os::Exited>(&answer->status);
  return ExecOutcome{.code = exited != nullptr
                                 ? exited->code
                                 : 128 + std::get<os::Signalled>(answer->status).signo,
                     .output = std::move(output)};
}

}  // namespace holdfast::deploy::runtime
