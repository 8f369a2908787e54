// holdfast-worker: the confined children of the daemon. `fetch` talks to the network, `unpack`
// reads foreign archives.
#include <csignal>
#include <cstdio>
#include <string_view>

#include "agent/worker/fetch/fetch_main.hpp"
#include "agent/worker/unpack/unpack_main.hpp"

int main(int argc, char** argv) {
  // A peer that went away is an error of a write, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  const std::string_view what = argc > 1 ? argv[1] : "";
  if (what == "unpack" && argc == 3) return holdfast::agent::worker::unpack::unpack_main(argv[2]);
  if (what == "fetch" && argc == 2) return holdfast::agent::worker::fetch::fetch_main();
  std::fputs("holdfast-worker is started by holdfastd; it is of no use by itself\n", stderr);
  return 2;
}
