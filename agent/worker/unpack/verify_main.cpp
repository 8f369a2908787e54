#include "agent/worker/unpack/verify_main.hpp"

#include <linux/capability.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <new>

#include "agent/worker/confine.hpp"
#include "agent/worker/unpack/content_sum.hpp"
#include "common/base/clock.hpp"
#include "common/os/file.hpp"
#include "common/os/process.hpp"
#include "deploy/image/layers/tree_digest.hpp"
#include "proto/worker/unpack.hpp"

namespace holdfast::agent::worker::unpack {
namespace {

namespace wire = proto::worker;

constexpr std::uint64_t kVerifyAddressSpace = 256U << 20;
constexpr std::uint64_t kVerifyOpenFiles = 512;
constexpr int kNice = 10;
constexpr Milliseconds kProgressInterval{200};
/// Sees every file and overlayfs's own attributes; may change nothing: no file may be written to.
constexpr int kVerifyCapabilities[] = {CAP_DAC_READ_SEARCH, CAP_SYS_ADMIN};

/// Keeps reading below a rate, and says how far it is.
class Pacer {
 public:
  explicit Pacer(std::uint64_t bytes_per_second)
      : rate_(bytes_per_second), began_(clock_.boot()), said_(began_) {}

  void operator()(std::uint64_t bytes) {
    const BootTime now = clock_.boot();
    if (now - said_ >= kProgressInterval) {
      said_ = now;
      const wire::VerifyReport progress{.done = false, .bytes = bytes, .tree = {}};
      (void)os::write_all(wire::kVerifyReport,
                          wire::encode(Result<wire::VerifyReport>{progress}) + "\n");
    }
    if (rate_ == 0) return;
    const std::chrono::duration<double> due{static_cast<double>(bytes) /
                                            static_cast<double>(rate_)};
    (void)os::sleep_until(began_ + std::chrono::duration_cast<BootClock::duration>(due), {});
  }

 private:
  SystemClock clock_;
  std::uint64_t rate_;
  BootTime began_;
  BootTime said_;
};

Status confine() {
  (void)setpriority(PRIO_PROCESS, 0, kNice);
  HF_TRY(limit_process({.address_space = kVerifyAddressSpace,
                        .file_size = 0,
                        .open_files = kVerifyOpenFiles,
                        .cpu_seconds = wire::kMostCpuSeconds}));
  HF_TRY(enter_namespaces());
  HF_TRY(enter_root(wire::kVerifyTree));
  HF_TRY(keep_capabilities(kVerifyCapabilities));
  return allow_system_calls(Profile::unpack);
}

Result<wire::VerifyReport> verify(std::string_view text) {
  try {
    HF_ASSIGN(const auto job, wire::decode_verify_job(text));
    if (auto confined = confine(); !confined)
      return std::move(confined).error().in("confine the verifier");
    SummingReader reader{Pacer{job.bytes_per_second}, {}};
    HF_ASSIGN(auto tree, deploy::image::tree_digest("/", std::ref(reader)));
    return wire::VerifyReport{.done = true, .bytes = reader.bytes(), .tree = std::move(tree)};
  } catch (const std::bad_alloc&) {
    return Error{Errc::layer_limit, "verifying the layer takes more memory than it may"};
  }
}

}  // namespace

int verify_main(std::string_view job) {
  const auto report = verify(job);
  const auto wrote = os::write_all(wire::kVerifyReport, wire::encode(report) + "\n");
  return report && wrote ? 0 : 1;
}

}  // namespace holdfast::agent::worker::unpack
