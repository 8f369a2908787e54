#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "deploy/image/layers/unpacker.hpp"
#include "deploy/image/pull/object_requests.hpp"
#include "deploy/image/store/records.hpp"
#include "deploy/image/store/store.hpp"
#include "proto/digest.hpp"
#include "proto/oci/oci.hpp"

namespace holdfast::deploy::image {

/// An unpacker with nothing to do yet, and where it will unpack. Starting and confining it takes
/// as long as fetching a manifest: so it can be done meanwhile.
struct PrestartedUnpacker {
  std::filesystem::path staging;
  os::UniqueFd body;  ///< what it will read comes in here
  Unpacker unpacker;

  PrestartedUnpacker(std::filesystem::path where, os::UniqueFd input, Unpacker child);
  /// For a layer without lowers, into STAGING/fs. Errors: by errno.
  [[nodiscard]] static Result<std::unique_ptr<PrestartedUnpacker>> start(
      const std::string& worker_path, const std::filesystem::path& staging);
};

struct LayerJob {
  proto::oci::Layer layer;
  proto::Digest diff_id;
  std::vector<std::filesystem::path>
      lowers;                             ///< trees below, lowest first; empty: unpack by itself
  std::uint64_t space = 0;                ///< bytes that may still be written
  std::optional<std::uint64_t> inodes{};  ///< files that may still be made; none: no limit
  os::DiskReserve reserve{};              ///< what the disk keeps meanwhile, whoever writes
  std::uint64_t free_entries = 0;         ///< besides what its compressed size accounts for
  std::filesystem::path partials;         ///< where a download that breaks off is kept
  bool keep_blob = false;                 ///< leaves the compressed bytes in STAGING/blob
};

struct LayerOutcome {
  LayerMeta meta;
  bool needs_lower = false;   ///< nothing usable was made: pull again with the lowers
  std::uint64_t fetched = 0;  ///< bytes from the network
};

/// Compressed bytes received so far.
using LayerProgress = std::function<void(std::uint64_t bytes)>;

/// Fetches one layer and unpacks it into STAGING/fs, both in confined children joined by a pipe;
/// writes STAGING/meta.json. A download that broke off earlier goes on where it was. Returns only
/// after size, blob digest and diff_id matched. Bytes that do not match are fetched once more, then
/// from the next mirror. Not durable yet. Errors: digest_mismatch, diffid_mismatch, size_mismatch,
/// layer_*, nospace, those of the registry, cancelled. `ready`, with the same staging, is used for
/// the first try.
[[nodiscard]] Result<LayerOutcome> pull_layer(const Origin& origin, const std::string& worker_path,
                                              const LayerJob& job,
                                              const std::filesystem::path& staging,
                                              std::unique_ptr<PrestartedUnpacker> ready,
                                              const LayerProgress& progress,
                                              const std::stop_token& stop);

}  // namespace holdfast::deploy::image
