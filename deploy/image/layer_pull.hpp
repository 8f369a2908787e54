#pragma once
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "deploy/image/fetcher.hpp"
#include "deploy/image/records.hpp"
#include "proto/digest.hpp"
#include "proto/oci/oci.hpp"

namespace holdfast::deploy::image {

struct LayerJob {
  proto::oci::Layer layer;
  proto::Digest diff_id;
  std::vector<std::filesystem::path>
      lowers;                      ///< trees below, lowest first; empty: unpack by itself
  std::uint64_t max_bytes = 0;     ///< most uncompressed bytes of any layer
  std::uint64_t space = 0;         ///< bytes that may still be written
  std::filesystem::path partials;  ///< where a download that breaks off is kept
  bool keep_blob = false;          ///< leaves the compressed bytes in STAGING/blob
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
/// layer_*, nospace, those of the registry, cancelled.
[[nodiscard]] Result<LayerOutcome> pull_layer(Fetcher& fetcher, const std::string& worker_path,
                                              const LayerJob& job,
                                              const std::filesystem::path& staging,
                                              const LayerProgress& progress,
                                              const std::stop_token& stop);

}  // namespace holdfast::deploy::image
