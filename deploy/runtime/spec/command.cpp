#include "deploy/runtime/spec/command.hpp"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <unordered_map>
#include <utility>

#include "common/base/text.hpp"
#include "common/os/process.hpp"
#include "deploy/runtime/record/sd_notify_state.hpp"
#include "deploy/runtime/spec/root_path.hpp"

namespace holdfast::deploy::runtime {
namespace {

constexpr std::string_view kPathPrefix = "PATH=";

bool has_nul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

/// Variables in the order in which they came; found by name at once, as an image may have many.
class Environment {
 public:
  /// Adds or replaces.
  void set(std::string_view name, std::string_view value) {
    auto entry = fmt::format("{}={}", name, value);
    const auto [at, added] = where_.try_emplace(std::string{name}, entries_.size());
    if (added) {
      entries_.push_back(std::move(entry));
    } else {
      entries_[at->second] = std::move(entry);
    }
  }
  [[nodiscard]] bool has(const std::string& name) const { return where_.contains(name); }
  [[nodiscard]] std::vector<std::string> take() { return std::move(entries_); }

 private:
  std::vector<std::string> entries_;
  std::unordered_map<std::string, std::size_t> where_;
};

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
  if (service.init) args.insert(args.begin(), {std::string{kInitPath}, "--"});
  return args;
}

Result<std::vector<std::string>> merged_env(const proto::Service& service,
                                            const proto::oci::ImageConfig& image, const User& user,
                                            std::string_view hostname) {
  Environment env;
  for (const auto& entry : image.env) {
    const auto equals = entry.find('=');
    if (equals == std::string::npos || equals == 0 || has_nul(entry))
      return Error{
          Errc::runtime,
          fmt::format("the image's environment entry \"{}\" is not NAME=value", printable(entry))}
          .hint("repair the image");
    env.set(std::string_view{entry}.substr(0, equals), std::string_view{entry}.substr(equals + 1));
  }
  for (const auto& [name, value] : service.env) {
    if (has_nul(name) || has_nul(value))
      return Error{Errc::runtime, fmt::format("env {} contains a NUL byte", printable(name))};
    env.set(name, value);
  }
  if (uses_sd_notify(service)) {
    env.set("NOTIFY_SOCKET", "/run/notify/notify.sock");
    env.set("WATCHDOG_USEC",
            std::to_string(std::chrono::microseconds{watchdog_time(*service.health)}.count()));
  }
  if (!hostname.empty() && !env.has("HOSTNAME")) env.set("HOSTNAME", hostname);
  if (!env.has("PATH"))
    env.set("PATH", std::string_view{os::kChildPath}.substr(kPathPrefix.size()));
  if (!env.has("HOME")) env.set("HOME", user.home.empty() ? "/" : user.home);
  return env.take();
}

Result<std::string> variable_value(std::string content, std::string_view variable) {
  constexpr std::size_t kMost = 128U << 10;  // MAX_ARG_STRLEN of execve(2), with the name
  if (content.ends_with('\n')) content.pop_back();
  if (content.size() + variable.size() + 2 > kMost)
    return Error{Errc::host, fmt::format("what env {} is taken from has {} bytes, too many for a "
                                         "variable",
                                         printable(variable), content.size())}
        .hint("let the program read the file");
  if (has_nul(content))
    return Error{Errc::host,
                 fmt::format("what env {} is taken from contains a NUL byte", printable(variable))}
        .hint("let the program read the file");
  return content;
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
