// holdfast-worker: the confined child of the daemon that reads foreign archives.
#include <csignal>
#include <cstdio>
#include <string_view>

#include "agent/worker/unpack/archive_main.hpp"
#include "agent/worker/unpack/unpack_main.hpp"
#include "agent/worker/unpack/verify_main.hpp"

int main(int argc, char** argv) {
  // A peer that went away is an error of a write, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  const std::string_view what = argc > 1 ? argv[1] : "";
  if (what == "unpack" && argc == 3) return holdfast::agent::worker::unpack::unpack_main(argv[2]);
  if (what == "verify" && argc == 3) return holdfast::agent::worker::unpack::verify_main(argv[2]);
  if (what == "archive" && argc == 2) return holdfast::agent::worker::unpack::archive_main();
  std::fputs("holdfast-worker is started by holdfastd; it is of no use by itself\n", stderr);
  return 2;
}
