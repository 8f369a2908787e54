#include "deploy/ledger/readers.hpp"

#include <mutex>

#include "common/base/clock.hpp"
#include "common/os/process.hpp"

namespace holdfast::deploy::ledger {
namespace {

/// Longer than a commit that comes when it can.
constexpr std::chrono::milliseconds kGap{25};

bool is_large(const std::filesystem::path& wal) {
  std::error_code failed;
  const auto size = std::filesystem::file_size(wal, failed);
  return !failed && size >= kLargeWal;
}

}  // namespace

Status Readers::read(const std::function<void(Reader&)>& use) {
  if (is_large(state_dir_ / "ledger.db-wal")) {
    const std::lock_guard first{entrance_};  // who comes later waits behind it
    const std::lock_guard turn{reading_};
    auto done = read_now(use);
    os::sleep_until(SystemClock{}.boot() + kGap, {});
    return done;
  }
  std::unique_lock first{entrance_};
  const std::shared_lock shares{reading_};
  first.unlock();
  return read_now(use);
}

Status Readers::read_now(const std::function<void(Reader&)>& use) const {
  HF_ASSIGN(const auto reader, open_reader(state_dir_));
  use(*reader);
  return ok();
}

}  // namespace holdfast::deploy::ledger
