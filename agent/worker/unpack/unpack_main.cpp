#include "agent/worker/unpack/unpack_main.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <new>
#include <string>
#include <vector>

#include "agent/worker/confine.hpp"
#include "agent/worker/unpack/content_sum.hpp"
#include "agent/worker/unpack/layer_writer.hpp"
#include "agent/worker/unpack/pipeline.hpp"
#include "common/os/file.hpp"
#include "deploy/image/layers/tree_digest.hpp"
#include "proto/worker/unpack.hpp"

namespace holdfast::agent::worker::unpack {
namespace {

namespace wire = proto::worker;

/// Address space: buffers, the zstd window of 128 MiB, thread stacks, and the names of a million
/// directories.
constexpr std::uint64_t kAddressSpace = 1U << 30;
constexpr std::uint64_t kOpenFiles = 512;
constexpr int kCapabilities[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER,   CAP_FSETID,
                                 CAP_MKNOD, CAP_SETFCAP,      CAP_SYS_ADMIN};

/// The same directory as seen from this process's own mount namespace: the kernel refuses to mount
/// what belongs to another.
Result<os::UniqueFd> reopen(int fd) {
  const std::string link = fmt::format("/proc/self/fd/{}", fd);
  std::string path(4096, '\0');
  const ssize_t size = readlink(link.c_str(), path.data(), path.size());
  if (size < 0) return errno_error(errno, "read " + link);
  path.resize(static_cast<std::size_t>(size));
  return os::open_file(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

/// The merged view of the layers below, or none. Mounted over the still empty tree, opened, and
/// detached again: only the descriptor stays.
Result<os::UniqueFd> open_lowers(std::uint32_t count, const os::UniqueFd& tree) {
  if (count == 0) return os::UniqueFd{};
  if (count == 1) return reopen(wire::kUnpackLowers);
  std::vector<os::UniqueFd> lowers;
  std::string options = "redirect_dir=nofollow,metacopy=off,index=off,lowerdir=";
  for (std::uint32_t i = count; i-- > 0;) {
    HF_ASSIGN(auto lower, reopen(wire::kUnpackLowers + static_cast<int>(i)));
    options += fmt::format("/proc/self/fd/{}{}", lower.get(), i > 0 ? ":" : "");
    lowers.push_back(std::move(lower));
  }
  const std::string below = fmt::format("/proc/self/fd/{}", tree.get());
  if (::mount("overlay", below.c_str(), "overlay", MS_RDONLY | MS_NODEV | MS_NOSUID,
              options.c_str()) != 0)
    return errno_error(errno, "mount the lower layers");
  // The descriptor of the tree still names the directory below the mount; its path now names the
  // mount.
  HF_ASSIGN(auto merged, reopen(tree.get()));
  if (umount2(fmt::format("/proc/self/fd/{}", merged.get()).c_str(), MNT_DETACH) != 0)
    return errno_error(errno, "detach the lower layers");
  return merged;
}

Result<os::UniqueFd> confine(const wire::UnpackLimits& room) {
  HF_TRY(limit_process({.address_space = kAddressSpace,
                        .file_size = room.max_bytes + 1,
                        .open_files = kOpenFiles,
                        .cpu_seconds = wire::kMostCpuSeconds}));
  HF_TRY(enter_namespaces());
  HF_ASSIGN(auto tree, reopen(wire::kUnpackTree));
  HF_ASSIGN(auto lowers, open_lowers(room.lowers, tree));
  HF_TRY(enter_root(tree.get()));
  HF_TRY(keep_capabilities(kCapabilities));
  HF_TRY(allow_system_calls(Profile::unpack));
  umask(0);
  return lowers;
}

/// What was just written, for comparing with it later. What passed by as plain data is not read
/// again.
Result<std::string> tree_on_disk(SumsByInode sums) {
  SummingReader reader{{}, std::move(sums)};
  return deploy::image::tree_digest("/", std::ref(reader));
}

/// Waits until the parent knows what there is to do; empty when it turns out to be nothing.
Result<std::string> job_text() {
  std::string text(wire::kMaxJobBytes, '\0');
  std::size_t have = 0;
  for (ssize_t got = -1; got != 0;) {
    got = ::read(wire::kUnpackJob, text.data() + have, text.size() - have);
    if (got < 0 && errno != EINTR) return errno_error(errno, "receive the job");
    if (got > 0) have += static_cast<std::size_t>(got);
  }
  text.resize(have);
  return text;
}

/// gzip cannot do better than 1032 to 1 (zlib's technical notes); zstd can, for bombs. What is
/// small may be of one byte again and again.
std::uint64_t most_bytes(const wire::UnpackLimits& room, const wire::UnpackJob& job) {
  constexpr std::uint64_t kFree = 64U << 20;
  constexpr std::uint64_t kMostRatio = 1100;
  const auto by_size =
      job.size > room.max_bytes / kMostRatio ? room.max_bytes : kFree + job.size * kMostRatio;
  return std::min(room.max_bytes, by_size);
}

Result<wire::UnpackReport> unpack(const wire::UnpackLimits& room, const os::UniqueFd& lowers,
                                  const wire::UnpackJob& job) {
  const os::UniqueFd root{::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!root) return errno_error(errno, "open the layer's tree");

  InflatedStream stream{
      wire::kUnpackInput,
      job.compression,
      {.compressed = job.size, .uncompressed = most_bytes(room, job), .space = job.space}};
  TarReader tar{stream, TarLimits{.entries = job.max_entries, .file_bytes = room.max_bytes}};
  LayerWriter writer{root.get(), lowers.get(), XattrPolicy::of_this_kernel(), room.max_bytes,
                     os::DiskFloor{root.get(), {job.keep_bytes, job.keep_inodes}}};
  HF_ASSIGN(LayerSummary summary, writer.apply_all(tar));
  wire::UnpackReport report{.blob = stream.compressed_sha256(),
                            .diff_id = {},
                            .bytes = stream.bytes(),
                            .entries = summary.entries,
                            .needs_lower = summary.needs_lower,
                            .implicit_directories = std::move(summary.implicit_directories),
                            .whiteout_parents = std::move(summary.whiteout_parents),
                            .unsupported_xattrs = summary.unsupported_xattrs,
                            .tree = {}};
  if (report.needs_lower) return report;
  report.diff_id = stream.diff_id_hex();
  HF_ASSIGN(report.tree, tree_on_disk(std::move(summary.sums)));
  return report;
}

Result<wire::UnpackReport> unpack_in(std::string_view room_text) {
  try {
    HF_ASSIGN(const auto room, wire::decode_unpack_limits(room_text));
    auto lowers = confine(room);
    if (!lowers) return std::move(lowers).error().in("confine the unpacker");
    HF_ASSIGN(const std::string text, job_text());
    if (text.empty()) return Error{Errc::cancelled, "there is nothing to unpack"};
    HF_ASSIGN(const auto job, wire::decode_unpack_job(text));
    HF_TRY(limit_cpu(job.cpu_seconds));
    return unpack(room, *lowers, job);
  } catch (const std::bad_alloc&) {
    return Error{Errc::layer_limit, "unpacking the layer takes more memory than it may"};
  }
}

}  // namespace

int unpack_main(std::string_view room) {
  const auto report = unpack_in(room);
  const auto wrote = os::write_all(wire::kUnpackReport, wire::encode(report));
  return report && wrote ? 0 : 1;
}

}  // namespace holdfast::agent::worker::unpack
