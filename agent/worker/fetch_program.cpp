// holdfast-fetch: the confined child of the daemon that talks to the network, and the one that
// checks signatures: both need OpenSSL. A program of its own: starting the unpacker then does not
// load curl and the thirty libraries behind it.
#include <csignal>
#include <cstdio>
#include <string_view>

#include "agent/worker/fetch/fetch_main.hpp"
#include "agent/worker/signature/signature_main.hpp"

int main(int argc, char** argv) {
  // A peer that went away is an error of a write, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  if (argc == 1) return holdfast::agent::worker::fetch::fetch_main();
  if (argc == 2 && std::string_view{argv[1]} == "signatures")
    return holdfast::agent::worker::signature::signature_main();
  std::fputs("holdfast-fetch is started by holdfastd; it is of no use by itself\n", stderr);
  return 2;
}
