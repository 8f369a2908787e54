#include "agent/cli/client/interrupt.hpp"

#include <sys/signalfd.h>

#include <cerrno>
#include <csignal>

namespace holdfast::agent::cli {

Result<Interrupt> Interrupt::install() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  if (pthread_sigmask(SIG_BLOCK, &signals, nullptr) != 0)
    return errno_error(errno, "block signals");
  os::UniqueFd fd{::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK)};
  if (!fd) return errno_error(errno, "wait for signals");
  return Interrupt{std::move(fd)};
}

}  // namespace holdfast::agent::cli
