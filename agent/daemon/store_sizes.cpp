#include "agent/daemon/store_sizes.hpp"

#include "common/os/tree_size.hpp"
#include "deploy/image/store/usage.hpp"

namespace holdfast::agent::daemon {

const StoreBytes& StoreSizes::read() {
  constexpr std::chrono::minutes kEvery{1};
  constexpr std::size_t kMostEntries = 20'000;
  const auto now = clock_.boot();
  if (looked_ && now - *looked_ < kEvery) return bytes_;
  looked_ = now;
  const auto images = deploy::image::store_usage(state_dir_, kMostEntries);
  bytes_ = {.layers = images.layers,
            .blobs = images.blobs,
            .partials = images.partials,
            .logs = os::tree_size(state_dir_ / "logs", kMostEntries),
            .ledger = os::tree_size(state_dir_ / "ledger.backup", kMostEntries)};
  for (const auto* name : {"ledger.db", "ledger.db-wal", "ledger.db-shm", "HEAD"})
    bytes_.ledger += os::tree_size(state_dir_ / name, 1);
  return bytes_;
}

}  // namespace holdfast::agent::daemon
