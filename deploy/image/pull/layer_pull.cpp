#include "deploy/image/pull/layer_pull.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <optional>

#include "common/log/log.hpp"
#include "common/os/file.hpp"
#include "deploy/image/layers/tee.hpp"
#include "deploy/image/layers/unpacker.hpp"
#include "deploy/image/pull/layer_bounds.hpp"
#include "deploy/image/store/partial.hpp"

namespace holdfast::deploy::image {
namespace {

constexpr int kPollMs = 200;
constexpr int kPipeBytes = 1 << 20;
constexpr std::uint64_t kMaxLayerBytes = 10ULL << 30;

struct Attempt {
  std::optional<Result<proto::worker::FetchReport>> fetched;
  std::optional<Result<proto::worker::UnpackReport>> unpacked;
};

/// Waits for both children. The one that failed first decides when the other is hopeless.
Status await_both(fetch::Download& download, Unpacker& unpacker, Attempt& attempt,
                  const LayerProgress& progress, const std::stop_token& stop) {
  while (!attempt.fetched || !attempt.unpacked) {
    if (stop.stop_requested()) return Error{Errc::cancelled, "pull the layer"};
    std::array<pollfd, 2> fds{{{attempt.fetched ? -1 : download.fd(), POLLIN, 0},
                               {attempt.unpacked ? -1 : unpacker.fd(), POLLIN, 0}}};
    if (poll(fds.data(), fds.size(), kPollMs) < 0 && errno != EINTR)
      return errno_error(errno, "poll");
    if (fds[0].revents != 0) {
      attempt.fetched = download.advance();
      progress(download.bytes());
    }
    if (fds[1].revents != 0) attempt.unpacked = unpacker.advance();
    if (attempt.fetched && !*attempt.fetched &&
        (*attempt.fetched).error().code() != Errc::cancelled)
      return ok();
    if (attempt.unpacked && (!*attempt.unpacked || (*attempt.unpacked)->needs_lower)) return ok();
  }
  return ok();
}

Status check_digests(const LayerJob& job, const proto::worker::UnpackReport& report,
                     const std::string& endpoint) {
  const auto& expected = job.layer.blob.digest;
  if (report.blob != expected.hex())
    return Error{Errc::digest_mismatch, fmt::format("layer {} from {} has the digest sha256:{}",
                                                    expected.str(), endpoint, report.blob)}
        .hint(
            "the registry or something on the way to it changed the bytes: compare with another "
            "host, then push the image again");
  if (report.diff_id != job.diff_id.hex())
    return Error{Errc::diffid_mismatch,
                 fmt::format("layer {} unpacks to sha256:{}, but the image says {}", expected.str(),
                             report.diff_id, job.diff_id.str())}
        .hint("the image is inconsistent in itself: build and push it again");
  return ok();
}

Result<LayerOutcome> conclude(const LayerJob& job, Attempt& attempt, std::uint64_t had) {
  // Who was cut off by the other's end has nothing to say.
  const bool cut_off =
      attempt.fetched && !*attempt.fetched && (*attempt.fetched).error().code() == Errc::cancelled;
  if (attempt.fetched && !*attempt.fetched && !cut_off) return std::move(*attempt.fetched).error();
  if (attempt.unpacked && !*attempt.unpacked) return std::move(*attempt.unpacked).error();
  if (!attempt.unpacked) return Error{Errc::internal, "the unpacker gave no report"};
  auto& report = **attempt.unpacked;
  LayerOutcome outcome{.meta = {}, .needs_lower = report.needs_lower};
  if (report.needs_lower) return outcome;
  if (!attempt.fetched || cut_off) return Error{Errc::internal, "the fetcher gave no report"};
  HF_TRY(check_digests(job, report, (*attempt.fetched)->endpoint));
  outcome.fetched = (*attempt.fetched)->bytes - std::min((*attempt.fetched)->bytes, had);
  outcome.meta = LayerMeta{.diff_id = report.diff_id,
                           .blob = report.blob,
                           .size = job.layer.blob.size,
                           .bytes = report.bytes,
                           .entries = report.entries,
                           .implicit_directories = std::move(report.implicit_directories),
                           .whiteout_parents = std::move(report.whiteout_parents),
                           .tree = std::move(report.tree)};
  return outcome;
}

struct Source {
  const Origin& origin;
  const std::string& worker_path;
  Partial& partial;
  std::uint32_t skip_endpoints = 0;
};

/// Starts an unpacker on an empty STAGING/fs. With a place for a `tee` it keeps the blob.
Result<std::unique_ptr<PrestartedUnpacker>> start_unpacker(
    const std::string& worker_path, const std::vector<std::filesystem::path>& below,
    const std::filesystem::path& staging, std::unique_ptr<Tee>* tee) {
  HF_TRY(os::remove_tree(staging));
  HF_TRY(os::make_directories(staging / "fs"));
  HF_ASSIGN(const auto tree, os::open_file(staging / "fs", O_RDONLY | O_DIRECTORY));
  std::vector<os::UniqueFd> lowers;
  for (const auto& path : below) {
    HF_ASSIGN(auto lower, os::open_file(path, O_RDONLY | O_DIRECTORY));
    lowers.push_back(std::move(lower));
  }
  HF_ASSIGN(auto body, os::make_pipe());
  (void)fcntl(body.second.get(), F_SETPIPE_SZ, kPipeBytes);  // a smaller pipe is only slower
  if (tee != nullptr) {
    HF_ASSIGN(auto direct, os::make_pipe());
    HF_ASSIGN(*tee, Tee::start(std::move(body.first), std::move(direct.second), staging / "blob"));
    body.first = std::move(direct.first);
  }
  HF_ASSIGN(auto unpacker, Unpacker::start(worker_path, {.max_bytes = kMaxLayerBytes, .lowers = 0},
                                           body.first, tree, lowers));
  return std::make_unique<PrestartedUnpacker>(staging, std::move(body.second), std::move(unpacker));
}

Result<LayerOutcome> attempt_once(const Source& source, const LayerJob& job,
                                  const std::filesystem::path& staging,
                                  std::unique_ptr<PrestartedUnpacker> prepared,
                                  const LayerProgress& progress, const std::stop_token& stop,
                                  std::uint32_t& endpoint) {
  std::unique_ptr<Tee> tee;
  auto ready = std::move(prepared);  // ends before the tee, which waits for it
  if (!ready) {
    HF_ASSIGN(ready, start_unpacker(source.worker_path, job.lowers, staging,
                                    job.keep_blob ? &tee : nullptr));
  }
  auto& unpacker = ready->unpacker;
  const auto bounds = bounds_of(job.layer.blob.size, job.free_entries);
  const auto entries = std::min(bounds.entries, job.inodes.value_or(bounds.entries));
  HF_TRY(unpacker.begin({.compression = job.layer.compression,
                         .size = job.layer.blob.size,
                         .space = job.space,
                         .keep_bytes = job.reserve.bytes,
                         .keep_inodes = job.reserve.inodes,
                         .max_entries = entries,
                         .cpu_seconds = bounds.cpu_seconds}));
  // A descriptor of its own: the child reads what is there from its beginning.
  const auto partial = source.partial.reader();
  auto request =
      source.origin.requests.object(ObjectKind::blob, job.layer.blob.digest, job.layer.blob.size);
  request.skip_endpoints = source.skip_endpoints;
  request.have = partial ? source.partial.bytes() : 0;
  HF_ASSIGN(auto download, source.origin.fetcher.stream(request, std::move(ready->body), partial));
  Attempt attempt;
  HF_TRY(await_both(download, unpacker, attempt, progress, stop));
  if (attempt.fetched && *attempt.fetched)
    endpoint = (*attempt.fetched)->endpoint_index + 1 < (*attempt.fetched)->endpoints
                   ? (*attempt.fetched)->endpoint_index + 1
                   : 0;
  auto outcome = conclude(job, attempt, request.have);
  if (!outcome && outcome.error().code() == Errc::layer_limit && entries < bounds.entries)
    outcome = Error{Errc::nospace, fmt::format("the layer needs more than the {} inodes that may "
                                               "still be used",
                                               entries)};
  // What the unpacker hashed is what went into the file.
  if (tee && (!outcome || outcome->needs_lower || !tee->finish()))
    HF_TRY(os::remove_tree(staging / "blob"));
  return outcome;
}

bool wrong_bytes(const Error& error) {
  return error.code() == Errc::digest_mismatch || error.code() == Errc::layer_corrupt ||
         error.code() == Errc::size_mismatch;
}

Error explain(Error error, const std::filesystem::path& staging) {
  if (error.code() != Errc::nospace) return explain_fetch(std::move(error));
  return std::move(error).hint(
      fmt::format("free space on the file system of {}, or remove images that are not needed",
                  staging.parent_path().parent_path().string()));
}

}  // namespace

PrestartedUnpacker::PrestartedUnpacker(std::filesystem::path where, os::UniqueFd input,
                                       Unpacker child)
    : staging(std::move(where)), body(std::move(input)), unpacker(std::move(child)) {}

Result<std::unique_ptr<PrestartedUnpacker>> PrestartedUnpacker::start(
    const std::string& worker_path, const std::filesystem::path& staging) {
  return start_unpacker(worker_path, {}, staging, nullptr);
}

Result<LayerOutcome> pull_layer(const Origin& origin, const std::string& worker_path,
                                const LayerJob& job, const std::filesystem::path& staging,
                                std::unique_ptr<PrestartedUnpacker> ready,
                                const LayerProgress& progress, const std::stop_token& stop) {
  auto partial = Partial::open(job.partials, job.layer.blob.digest, job.layer.blob.size);
  Source source{.origin = origin, .worker_path = worker_path, .partial = partial};
  for (int tries = 0;; ++tries) {
    std::uint32_t next_endpoint = 0;
    auto outcome =
        attempt_once(source, job, staging, std::move(ready), progress, stop, next_endpoint);
    if (outcome && !outcome->needs_lower)
      HF_TRY(os::write_atomic(staging / "meta.json", encode(outcome->meta), 0600,
                              os::Durability::lazy));
    if (outcome) {
      partial.settle(ok());
      return outcome;
    }
    // A bad transfer may be chance once; a mirror that repeats it is left out.
    const bool again =
        wrong_bytes(outcome.error()) && (tries == 0 || next_endpoint > source.skip_endpoints);
    if (!again) {
      partial.settle(outcome.error());
      return explain(std::move(outcome).error(), staging)
          .in("layer " + job.layer.blob.digest.short_hex());
    }
    partial.restart();
    log::warn("event=layer_refetched layer={} reason={}", job.layer.blob.digest.short_hex(),
              log::field(outcome.error().what()));
    if (tries > 0) source.skip_endpoints = next_endpoint;
  }
}

}  // namespace holdfast::deploy::image
