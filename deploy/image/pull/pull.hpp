#pragma once
#include <filesystem>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "common/os/file.hpp"
#include "deploy/fetch/fetcher.hpp"
#include "deploy/image/layers/merged_view.hpp"
#include "deploy/image/port/images.hpp"
#include "deploy/image/pull/documents.hpp"
#include "deploy/image/pull/layer_pull.hpp"
#include "deploy/image/pull/object_requests.hpp"
#include "deploy/image/pull/semaphore.hpp"
#include "deploy/image/store/store.hpp"
#include "proto/image_ref.hpp"

namespace holdfast::deploy::image {

/// Where a pull fetches from, if not from the registries of the reference.
struct PullFrom {
  int archive = -1;                      ///< descriptor of an OCI layout archive, borrowed
  std::optional<std::string> reference;  ///< to remember in place of the one pulled by
  std::optional<Bytes> max_size = {};    ///< see Wanted
};

/// One image on its way into the store: documents, then layers in parallel, largest first, then
/// those that turned out to need their lower layers, then the synthetic top and the record. Used
/// once.
class Pull {
 public:
  Pull(Store& store, const proto::ImageRef& ref, const ProgressSink& progress, std::stop_token stop,
       PullFrom from = {});

  /// Errors: see Images::ensure.
  [[nodiscard]] Result<PullStats> run();

 private:
  struct Layer {
    std::size_t index;
    std::string key;
    LayerMeta meta;
    bool present = false;  ///< in the store, or staged and about to be
    bool needs_lower = false;
  };

  Status begin();
  Status check_space() const;
  Status check_inodes() const;
  Status plan_layers();
  Status pull_layers();
  Status pull_one(Layer& layer, std::vector<std::filesystem::path> lowers);
  Status fetch_one(Layer& layer, const std::vector<std::filesystem::path>& lowers);
  std::unique_ptr<PrestartedUnpacker> take_ready();
  Status keep_blob(const std::filesystem::path& staged, const proto::Digest& digest);
  Status settle_layer(Layer& layer);
  Result<MergedView> view(std::size_t height) const;
  Status make_top(const std::string& key, const std::vector<std::set<std::string>>& whiteouts);
  Status sync_all();
  Status finish();
  void report(const std::string& layer, PullPhase phase, std::uint64_t bytes, std::uint64_t total,
              std::uint64_t rate = 0) const;

  Store& store_;
  const proto::ImageRef& ref_;
  const ProgressSink& progress_;
  std::stop_token stop_;
  PullFrom from_;
  Leases::Lease lease_;
  std::unique_ptr<fetch::Fetcher> fetcher_;
  Origin origin_;
  std::filesystem::path staging_;
  std::optional<os::TempDir> staging_dir_;
  std::optional<os::FileLock> staging_lock_;
  std::optional<Documents> documents_;
  std::vector<Layer> layers_;
  Semaphore semaphore_;                        ///< for fetching and unpacking, not for flushing
  std::uint64_t free_entries_ = 0;             ///< of each layer that is fetched
  bool synced_ = false;                        ///< the record too, which is written last
  std::unique_ptr<PrestartedUnpacker> ready_;  ///< for the first layer
  std::mutex stats_mutex_;                     ///< of the two around it
  PullStats stats_;
};

}  // namespace holdfast::deploy::image
