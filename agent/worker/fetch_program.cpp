// holdfast-fetch: the confined child of the daemon that talks to the network. A program of its own:
// starting the unpacker then does not load curl and the thirty libraries behind it.
#include <csignal>

#include "agent/worker/fetch/fetch_main.hpp"

int main() {
  // A peer that went away is an error of a write, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  return holdfast::agent::worker::fetch::fetch_main();
}
