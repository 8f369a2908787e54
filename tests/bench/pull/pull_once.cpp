// One pull into an empty store, as the daemon does it: the library with its confined children.
//   pull_once WORKER STATE_DIR REFERENCE [PLAIN_HTTP_HOST [LEAD_MS]]
// LEAD_MS: a pull is expected that long before it begins, as by a daemon that a deployment reached.
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <map>

#include "common/base/clock.hpp"
#include "common/log/log.hpp"
#include "common/os/process.hpp"
#include "deploy/image/image_store.hpp"

int main(int argc, char** argv) {
  using namespace holdfast;
  if (argc < 4) return 2;
  const SystemClock clock;
  std::map<std::string, proto::RegistryConfig> registries;
  if (argc > 4) registries[argv[4]].plain_http = true;
  auto store = deploy::image::ImageStore::open({.state_dir = argv[2],
                                                .worker_path = argv[1],
                                                .registries = registries,
                                                .parallel_downloads = 3,
                                                .clock = clock});
  const auto ref = proto::ImageRef::parse(argv[3]);
  if (!store || !ref) return 2;
  if (argc > 5) {
    (*store)->expect_pull();
    (void)os::sleep_until(clock.boot() + Milliseconds{std::atoi(argv[5])}, {});
  }
  const auto pulled = (*store)->ensure({*ref, {}}, {}, {});
  if (!pulled) {
    fmt::print(stderr, "{}\n", pulled.error().to_string());
    return 1;
  }
  fmt::print("{{\"bytes\":{},\"layers\":{},\"ms\":{}}}\n", pulled->stats.bytes_fetched,
             pulled->stats.layers_fetched, pulled->stats.duration.count());
  return 0;
}
