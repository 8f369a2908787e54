#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "common/os/disk_floor.hpp"
#include "common/os/unique_fd.hpp"
#include "deploy/fetch/endpoints.hpp"
#include "deploy/fetch/spare.hpp"
#include "deploy/image/port/images.hpp"
#include "deploy/image/store/leases.hpp"
#include "deploy/image/store/paths.hpp"
#include "deploy/image/store/records.hpp"
#include "deploy/image/store/single_flight.hpp"
#include "deploy/image/store/sync_point.hpp"
#include "proto/config/agent_config.hpp"

namespace holdfast::deploy::image {

/// What all pulls of one store share.
struct Store {
  Paths paths;
  std::string worker_path;
  std::map<std::string, proto::RegistryConfig> registries;
  std::uint32_t parallel_downloads;
  std::uint64_t bytes_per_second;  ///< of all downloads together; 0: no limit
  bool keep_blobs;                 ///< compressed layers too
  os::UniqueFd bandwidth;          ///< shared by the fetching children
  fetch::Spare spare;
  proto::ProxyConfig proxy;
  fetch::HostFiles host_files;
  const Clock& clock;
  std::unique_ptr<SyncPoint> sync;
  SingleFlight flights;
  Leases leases;
  std::mutex holders_mutex;
  std::optional<Holders> holders;  ///< none before the engine's first word

  /// It is there and nothing is known to be wrong with it.
  [[nodiscard]] bool has_layer(const std::string& key) const;
  /// What was found wrong with the layer; empty: nothing, or it is not there.
  [[nodiscard]] std::string damage_of(const std::string& key) const;
  /// Errors: not_found, layer_corrupt.
  [[nodiscard]] Result<LayerMeta> layer_meta(const std::string& key) const;
  /// Makes a staged layer visible. What it holds must be durable already; its name is after
  /// settle_layers(), and until then a power cut costs no more than another fetch. One that is
  /// there is left alone; a damaged one is exchanged in one durable step, and kept aside for those
  /// who have it mounted. Errors: io.
  [[nodiscard]] Status publish_layer(const std::filesystem::path& staged,
                                     const std::string& key) const;
  /// Makes the names of all published layers durable: before a record says that they are here.
  /// Errors: io.
  [[nodiscard]] Status settle_layers() const;
  /// What is never used for images. Errors: io.
  [[nodiscard]] Result<os::DiskReserve> reserve() const;
  /// Bytes that may still be written: free space less the reserve. Errors: io.
  [[nodiscard]] Result<std::uint64_t> available_bytes() const;
  /// Files that may still be made, less a reserve; none where the file system does not count them.
  /// Errors: io.
  [[nodiscard]] Result<std::optional<std::uint64_t>> available_inodes() const;

 private:
  [[nodiscard]] Status exchange_layer(const std::filesystem::path& staged,
                                      const std::string& key) const;
};

}  // namespace holdfast::deploy::image
