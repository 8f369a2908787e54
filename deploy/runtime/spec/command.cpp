#include "deploy/runtime/spec/command.hpp"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <utility>

#include "common/base/text.hpp"
#include "common/os/process.hpp"
#include "deploy/runtime/record/notified.hpp"
#include "deploy/runtime/spec/root_path.hpp"

namespace holdfast::deploy::runtime {
namespace {

bool has_nul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

/// Adds or replaces by name.
void set_variable(std::vector<std::string>& env, std::string_view name, std::string_view value) {
  auto entry = fmt::format("{}={}", name, value);
  const auto prefix = std::string_view{entry}.substr(0, name.size() + 1);
  const auto found =
      std::find_if(env.begin(), env.end(), [&](const auto& e) { return e.starts_with(prefix); });
  if (found != env.end()) {
    *found = std::move(entry);
  } else {
    env.push_back(std::move(entry));
  }
}

bool has_variable(const std::vector<std::string>& env, std::string_view prefix) {
  return std::any_of(env.begin(), env.end(), [&](const auto& e) { return e.starts_with(prefix); });
}

/// The standard signals by their Linux numbers on the supported architectures, signal(7).
constexpr std::array<std::pair<std::string_view, int>, 33> kSignals{
    {{"HUP", SIGHUP},   {"INT", SIGINT},     {"QUIT", SIGQUIT}, {"ILL", SIGILL},
     {"TRAP", SIGTRAP}, {"ABRT", SIGABRT},   {"IOT", SIGABRT},  {"BUS", SIGBUS},
     {"FPE", SIGFPE},   {"KILL", SIGKILL},   {"USR1", SIGUSR1}, {"SEGV", SIGSEGV},
     {"USR2", SIGUSR2}, {"PIPE", SIGPIPE},   {"ALRM", SIGALRM}, {"TERM", SIGTERM},
     {"STKFLT", 16},    {"CHLD", SIGCHLD},   {"CLD", SIGCHLD},  {"CONT", SIGCONT},
     {"STOP", SIGSTOP}, {"TSTP", SIGTSTP},   {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU},
     {"URG", SIGURG},   {"XCPU", SIGXCPU},   {"XFSZ", SIGXFSZ}, {"VTALRM", SIGVTALRM},
     {"PROF", SIGPROF}, {"WINCH", SIGWINCH}, {"IO", SIGIO},     {"PWR", SIGPWR},
     {"SYS", SIGSYS}}};
constexpr int kRtMin = 34;  // as libc counts: 32 and 33 are its own
constexpr int kRtMax = 64;

}  // namespace

Result<std::vector<std::string>> merged_args(const proto::Service& service,
                                             const proto::oci::ImageConfig& image) {
  std::vector<std::string> args = service.entrypoint.value_or(image.entrypoint);
  const std::vector<std::string> none;
  const auto& rest =
      service.command ? *service.command : (service.entrypoint ? none : image.command);
  args.insert(args.end(), rest.begin(), rest.end());
  if (args.empty() || args.front().empty())
    return Error{Errc::runtime, "neither the image nor the document says what to run"}.hint(
        "add command: [\"/program\"]");
  if (std::any_of(args.begin(), args.end(), has_nul))
    return Error{Errc::runtime, "an argument contains a NUL byte"};
  return args;
}

Result<std::vector<std::string>> merged_env(const proto::Service& service,
                                            const proto::oci::ImageConfig& image, const User& user,
                                            std::string_view hostname) {
  std::vector<std::string> env;
  for (const auto& entry : image.env) {
    const auto equals = entry.find('=');
    if (equals == std::string::npos || equals == 0 || has_nul(entry))
      return Error{
          Errc::runtime,
          fmt::format("the image's environment entry \"{}\" is not NAME=value", printable(entry))}
          .hint("repair the image");
    set_variable(env, std::string_view{entry}.substr(0, equals),
                 std::string_view{entry}.substr(equals + 1));
  }
  for (const auto& [name, value] : service.env) {
    if (has_nul(name) || has_nul(value))
      return Error{Errc::runtime, fmt::format("env {} contains a NUL byte", printable(name))};
    set_variable(env, name, value);
  }
  if (is_notified(service)) {
    set_variable(env, "NOTIFY_SOCKET", "/run/notify/notify.sock");
    set_variable(env, "WATCHDOG_USEC",
                 std::to_string(std::chrono::microseconds{watchdog_time(*service.health)}.count()));
  }
  if (!hostname.empty() && !has_variable(env, "HOSTNAME=")) set_variable(env, "HOSTNAME", hostname);
  if (!has_variable(env, "PATH=")) env.emplace_back(os::kChildPath);
  if (!has_variable(env, "HOME=")) set_variable(env, "HOME", user.home.empty() ? "/" : user.home);
  return env;
}

Result<std::string> working_directory(const proto::Service& service,
                                      const proto::oci::ImageConfig& image) {
  const std::string& wanted = service.working_dir ? *service.working_dir : image.working_dir;
  if (wanted.empty()) return std::string{"/"};
  if (wanted.front() != '/' || has_nul(wanted))
    return Error{Errc::runtime,
                 fmt::format("working directory {} is not absolute", printable(wanted))}
        .hint("add working_dir: /path");
  auto clean = clean_path(wanted);
  if (is_within(clean, "/proc"))
    return Error{Errc::runtime,
                 fmt::format("working directory {} is below /proc", printable(clean))};
  return clean;
}

Result<int> parse_signal(std::string_view text) {
  if (const auto number = parse_number(text); number && *number >= 1 && *number <= kRtMax)
    return static_cast<int>(*number);
  std::string_view name = text;
  if (name.starts_with("SIG")) name.remove_prefix(3);
  for (const auto& [known, number] : kSignals)
    if (name == known) return number;
  if (name.starts_with("RTMIN") || name.starts_with("RTMAX")) {
    const bool from_min = name.starts_with("RTMIN");
    const auto rest = name.substr(5);
    const auto offset = rest.empty() ? Result<std::uint64_t>{std::uint64_t{0}}
                        : rest.front() == (from_min ? '+' : '-')
                            ? parse_number(rest.substr(1))
                            : Result<std::uint64_t>{Error{Errc::usage, ""}};
    if (offset && *offset <= kRtMax - kRtMin)
      return from_min ? kRtMin + static_cast<int>(*offset) : kRtMax - static_cast<int>(*offset);
  }
  return Error{Errc::runtime, fmt::format("unknown stop signal {}", printable(text))}.hint(
      "add stop: {signal: SIGTERM}");
}

Result<int> stop_signal(const proto::Service& service, const proto::oci::ImageConfig& image) {
  if (!service.stop.signal.empty()) return parse_signal(service.stop.signal);
  if (!image.stop_signal.empty()) return parse_signal(image.stop_signal);
  return SIGTERM;
}

}  // namespace holdfast::deploy::runtime
