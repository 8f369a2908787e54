#include "agent/worker/unpack/archive_main.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <optional>
#include <thread>
#include <vector>

#include "agent/worker/confine.hpp"
#include "agent/worker/message.hpp"
#include "agent/worker/unpack/archive_index.hpp"
#include "common/base/clock.hpp"
#include "common/os/file.hpp"
#include "common/os/process.hpp"
#include "proto/worker/fetch.hpp"
#include "proto/worker/unpack.hpp"

namespace holdfast::agent::worker::unpack {
namespace {

namespace wire = proto::worker;

constexpr std::uint64_t kArchiveAddressSpace = 512U << 20;
constexpr std::uint64_t kArchiveOpenFiles = 1024;
constexpr std::size_t kArchivePiece = 128U << 10;
constexpr Milliseconds kProgressInterval{100};

Status confine() {
  HF_TRY(limit_process({.address_space = kArchiveAddressSpace,
                        .file_size = 0,
                        .open_files = kArchiveOpenFiles,
                        .cpu_seconds = wire::kMostCpuSeconds}));
  HF_TRY(enter_namespaces());
  HF_TRY(restrict_files_to_reading());
  HF_TRY(become_nobody());
  return allow_system_calls(Profile::archive);
}

class Archive {
 public:
  explicit Archive(Result<ArchiveIndex> index) : index_(std::move(index)) {}

  void serve(const wire::FetchRequest& request, const Message& message) const {
    os::name_this_thread("archive");
    auto report = give(request, message);
    (void)os::write_all(message.report.get(), wire::encode(report) + "\n");
  }

 private:
  /// Of "/index.json" or "/blobs/sha256/<hex>"; names are compared, never used as paths.
  [[nodiscard]] std::optional<Extent> extent_of(std::string_view url) const {
    constexpr std::string_view kBlobs = "/blobs/sha256/";
    if (url == "/index.json") return index_->layout;
    if (!url.starts_with(kBlobs)) return std::nullopt;
    const auto blob = index_->blobs.find(std::string{url.substr(kBlobs.size())});
    return blob == index_->blobs.end() ? std::nullopt : std::optional{blob->second};
  }

  Result<Extent> find(const wire::FetchRequest& request) const {
    if (!index_) return index_.error();
    const auto extent = extent_of(request.url);
    if (!extent)
      return Error{Errc::not_found, fmt::format("the archive lacks {}", request.subject)}.hint(
          "write the whole archive again: with skopeo, --all for every platform");
    const Extent found = *extent;
    if (request.size > 0 && found.size != request.size)
      return Error{Errc::size_mismatch,
                   fmt::format("the archive has {} bytes of {}, {} are declared", found.size,
                               request.subject, request.size)};
    if (found.size > request.limits.bytes)
      return Error{Errc::too_large, fmt::format("{} in the archive is larger than {} bytes",
                                                request.subject, request.limits.bytes)};
    return found;
  }

  Result<wire::FetchReport> give(const wire::FetchRequest& request, const Message& message) const {
    HF_ASSIGN(const auto extent, find(request));
    SystemClock clock;
    BootTime last = clock.boot();
    std::vector<char> piece(kArchivePiece);
    wire::FetchReport report{.done = false,
                             .bytes = 0,
                             .length = extent.size,
                             .content_type = {},
                             .endpoint = "the archive"};
    while (report.bytes < extent.size) {
      const auto wanted = std::min<std::uint64_t>(piece.size(), extent.size - report.bytes);
      const ssize_t got = ::pread(wire::kArchiveFile, piece.data(), wanted,
                                  static_cast<off_t>(extent.offset + report.bytes));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return errno_error(errno, "read the archive");
      if (got == 0) return Error{Errc::layer_corrupt, "the archive ends in the middle of a blob"};
      if (!os::write_all(message.body.get(), {piece.data(), static_cast<std::size_t>(got)}))
        return Error{Errc::cancelled, "the receiver went away"};
      report.bytes += static_cast<std::uint64_t>(got);
      if (clock.boot() - last < kProgressInterval) continue;
      last = clock.boot();
      HF_TRY(os::write_all(message.report.get(),
                           wire::encode(Result<wire::FetchReport>{report}) + "\n"));
    }
    report.done = true;
    return report;
  }

  Result<ArchiveIndex> index_;
};

Status serve_parent() {
  if (auto confined = confine(); !confined)
    return std::move(confined).error().in("confine the archive's reader");
  HF_ASSIGN(const auto setup, receive_message());  // says nothing that an archive needs
  if (setup.text.empty()) return ok();
  const Archive archive{index_archive(wire::kArchiveFile)};
  std::vector<std::jthread> threads;
  for (;;) {
    HF_ASSIGN(auto message, receive_message());
    if (message.text.empty()) std::_Exit(0);  // nobody waits for what is still under way
    auto request = wire::decode_fetch_request(message.text);
    if (!request || !message.report) return Error{Errc::internal, "malformed request"};
    threads.emplace_back(
        [&archive, r = *std::move(request), m = std::move(message)] { archive.serve(r, m); });
  }
}

}  // namespace

int archive_main() {
  const auto served = serve_parent();
  if (served) return 0;
  (void)os::write_all(STDERR_FILENO, "holdfast-worker: " + served.error().to_string() + "\n");
  return 1;
}

}  // namespace holdfast::agent::worker::unpack
