// holdfastd: the agent.
#include <fmt/format.h>
#include <malloc.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string_view>

#include "agent/daemon/compose.hpp"
#include "agent/daemon/daemon.hpp"
#include "common/log/log.hpp"

namespace {

using namespace holdfast;

constexpr int kDone = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 2;
constexpr int kRejected = 3;
constexpr std::string_view kHelp =
    "usage: holdfastd [--config FILE] [--check-config | --places] [--debug]\n"
    "       holdfastd --version | --help\n"
    "\n"
    "Keeps this host running what was declared.\n"
    "  --config FILE   configuration (default /etc/holdfast/agent.yaml)\n"
    "  --check-config  read the configuration, say what is wrong with it, and end\n"
    "  --places        print instance, state_dir, run_dir, service subnet and socket, and end\n"
    "  --debug         log every step\n"
    "Signals: SIGTERM and SIGINT end the agent (containers keep running), SIGHUP reads the "
    "configuration again.\n";

struct Arguments {
  std::string config = "/etc/holdfast/agent.yaml";
  bool check_only = false;
  bool places = false;
  bool debug = false;
  std::string_view print;  ///< and end
  std::string wrong;
};

Arguments parse(int argc, char** argv) {
  Arguments out;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--config" && i + 1 < argc) {
      out.config = argv[++i];
    } else if (argument.substr(0, 9) == "--config=") {
      out.config = argument.substr(9);
    } else if (argument == "--check-config") {
      out.check_only = true;
    } else if (argument == "--places") {
      out.places = true;
    } else if (argument == "--debug") {
      out.debug = true;
    } else if (argument == "--version") {
      out.print = "holdfastd " HOLDFAST_VERSION "\n";
    } else if (argument == "--help") {
      out.print = kHelp;
    } else if (out.wrong.empty()) {  // the first: what follows it may be its argument
      out.wrong = argument == "--config" ? "--config needs a file"
                                         : fmt::format("unknown argument \"{}\"", argument);
    }
  }
  return out;
}

/// Small and giving: two arenas for a dozen threads, large blocks and free tops go back to the
/// kernel.
void tune_memory() {
  ::mallopt(M_ARENA_MAX, 2);
  ::mallopt(M_MMAP_THRESHOLD, 128 << 10);
  ::mallopt(M_TRIM_THRESHOLD, 64 << 10);
}

int complain(const Error& error, int code) {
  fmt::print(stderr, "holdfastd: {}\n", error.what());
  if (!error.next_step().empty()) fmt::print(stderr, "next: {}\n", error.next_step());
  return code;
}

/// The same program in the same process, so that no supervisor sees an end. Comes back on failure
/// only, which a supervisor answers with a start.
int start_over(char** argv) {
  std::error_code failed;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", failed);
  ::execv(self.c_str(), argv);
  return complain(errno_error(errno, "start " + self.string()), kFailed);
}

}  // namespace

int main(int argc, char** argv) {
  const auto arguments = parse(argc, argv);
  if (!arguments.wrong.empty()) {
    fmt::print(stderr, "holdfastd: {}\n{}", arguments.wrong, kHelp);
    return kUsage;
  }
  if (!arguments.print.empty()) {
    fmt::print("{}", arguments.print);
    return kDone;
  }
  tune_memory();
  ::umask(0022);  // inherited by every container
  ::signal(SIGPIPE, SIG_IGN);
  auto config = agent::daemon::load_config(arguments.config);
  if (!config) return complain(config.error(), kRejected);
  if (arguments.check_only) {
    fmt::print("{} is valid\n", arguments.config);
    return kDone;
  }
  if (arguments.places) {
    fmt::print("{}\t{}\t{}\t{}\t{}\n", config->instance, config->state_dir.string(),
               config->run_dir.string(), config->service_subnet.str(), config->socket.string());
    return kDone;
  }
  log::start(arguments.debug ? log::Level::debug : log::Level::info);
  const SystemClock clock;
  const auto ended = agent::daemon::run_daemon({arguments.config, std::move(config).value()}, clock,
                                               agent::daemon::compose);
  if (!ended) return complain(ended.error(), kFailed);
  return *ended == agent::daemon::End::restart ? start_over(argv) : kDone;
}
