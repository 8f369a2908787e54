#include "deploy/image/pull/pull.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <set>
#include <thread>

#include "common/base/text.hpp"
#include "common/log/log.hpp"
#include "common/os/file.hpp"
#include "deploy/image/layers/merged_view.hpp"
#include "deploy/image/layers/top_layer.hpp"
#include "deploy/image/layers/tree_digest.hpp"
#include "deploy/image/pull/archive_child.hpp"
#include "proto/deployment/rules.hpp"

namespace holdfast::deploy::image {
namespace {

constexpr std::uint64_t kMaxImageBytes = 20ULL << 30;
/// Of all layers that are fetched for an image, besides one for each 16 compressed bytes: a layer
/// of 420 kB took all inodes of a disk, and twelve small ones would have taken twelve times as
/// many.
constexpr std::uint64_t kFreeEntries = 20'000;

/// The files of a top layer are empty.
Result<std::uint64_t> no_content(int /*directory*/, const char* /*name*/, const struct stat& info) {
  if (info.st_size != 0) return Error{Errc::internal, "a file of the top layer is not empty"};
  return std::uint64_t{0};
}

std::uint64_t expected_bytes(const proto::oci::Layer& layer) {
  // What layers of real images inflate to; the exact size is known only at the end.
  return layer.compression == proto::oci::Compression::none ? layer.blob.size
                                                            : layer.blob.size * 5 / 2;
}

std::uint64_t rate_of(std::uint64_t bytes, BootClock::duration spent) {
  const double seconds = std::chrono::duration<double>(spent).count();
  return seconds < 0.1 ? 0 : static_cast<std::uint64_t>(static_cast<double>(bytes) / seconds);
}

}  // namespace

Pull::Pull(Store& store, const proto::ImageRef& ref, const ProgressSink& progress,
           std::stop_token stop, PullFrom from)
    : store_(store),
      ref_(ref),
      progress_(progress),
      stop_(std::move(stop)),
      from_(std::move(from)),
      lease_(store.leases),
      fetcher_(from_.archive >= 0 ? std::make_unique<fetch::Fetcher>(
                                        archive_child(store.worker_path, from_.archive))
                                  : store.spare.take()),
      origin_{*fetcher_,
              from_.archive >= 0 ? ObjectRequests::in_archive() : ObjectRequests::at_registry(ref)},
      semaphore_(store.parallel_downloads) {}

void Pull::report(const std::string& layer, PullPhase phase, std::uint64_t bytes,
                  std::uint64_t total, std::uint64_t rate) const {
  if (progress_)
    progress_({.image = ref_.str(),
               .layer = layer,
               .phase = phase,
               .bytes = bytes,
               .total = total,
               .rate = rate});
}

Result<PullStats> Pull::run() {
  const BootTime started = store_.clock.boot();
  report("", PullPhase::resolving, 0, 0);
  HF_TRY(begin());
  HF_ASSIGN(documents_, resolve_documents(store_.paths, ref_, origin_, lease_, stop_));
  stats_.bytes_fetched += documents_->fetched;
  HF_TRY(proto::rules::check_image_size(ref_.str(), Bytes{documents_->manifest.compressed_size()},
                                        from_.max_size));
  HF_TRY(plan_layers());
  HF_TRY(check_space());
  HF_TRY(pull_layers());
  for (auto& layer : layers_) HF_TRY(settle_layer(layer));
  HF_TRY(finish());
  report("", PullPhase::done, documents_->manifest.compressed_size(),
         documents_->manifest.compressed_size());
  stats_.duration = std::chrono::duration_cast<Milliseconds>(store_.clock.boot() - started);
  return stats_;
}

Status Pull::begin() {
  // It loads while logins are looked up here.
  HF_TRY(fetcher_->start());
  if (from_.archive < 0) {
    HF_ASSIGN(auto endpoints,
              fetch::endpoints_for(store_.registries, store_.proxy, store_.host_files, ref_));
    HF_TRY(fetcher_->configure(
        {.endpoints = std::move(endpoints), .bytes_per_second = store_.bytes_per_second}));
  }
  HF_ASSIGN(auto dir, os::TempDir::create(store_.paths.ingest(), "pull"));
  staging_dir_.emplace(std::move(dir));
  staging_ = staging_dir_->path();
  HF_ASSIGN(auto lock, os::FileLock::acquire(staging_ / "lock"));
  staging_lock_.emplace(std::move(lock));
  // While the fetcher starts and asks for the manifest.
  if (!store_.keep_blobs) {
    HF_ASSIGN(ready_, PrestartedUnpacker::start(store_.worker_path, staging_ / "first"));
  }
  return ok();
}

std::unique_ptr<PrestartedUnpacker> Pull::take_ready() {
  const std::lock_guard lock{stats_mutex_};
  return std::move(ready_);
}

Status Pull::plan_layers() {
  const auto& diff_ids = documents_->config.diff_ids;
  std::set<std::string> seen;
  for (std::size_t i = 0; i < diff_ids.size(); ++i) {
    Layer layer{
        .index = i, .key = diff_ids[i].hex(), .meta = {}, .present = false, .needs_lower = false};
    // The kernel refuses one directory twice in a stack: the second gets a tree of its own.
    if (!seen.insert(layer.key).second) layer.needs_lower = true;
    const std::string chain = proto::oci::chain_id(diff_ids, i + 1).hex();
    lease_.hold(layer.key);
    lease_.hold(chain);
    if (i > 0 && store_.has_layer(chain)) {
      layer.key = chain;
      layer.needs_lower = false;
    }
    if (!layer.needs_lower && store_.has_layer(layer.key)) {
      HF_ASSIGN(layer.meta, store_.layer_meta(layer.key));
      layer.present = true;
      ++stats_.layers_local;
    }
    layers_.push_back(std::move(layer));
  }
  return ok();
}

Status Pull::check_space() const {
  HF_TRY(check_inodes());
  std::uint64_t needed = 0;
  for (const auto& layer : layers_) {
    if (!layer.present) needed += expected_bytes(documents_->manifest.layers[layer.index]);
  }
  HF_ASSIGN(const std::uint64_t available, store_.available_bytes());
  if (needed <= available) return ok();
  return Error{Errc::nospace, fmt::format("the image needs about {} below {}, {} are available",
                                          human_bytes(needed), store_.paths.state.string(),
                                          human_bytes(available))}
      .hint("free space there, or remove images that are not needed");
}

/// How many files a layer holds is known only at the end; real images have one for every 8 KiB and
/// more of compressed bytes, so this refuses only what cannot be.
Status Pull::check_inodes() const {
  constexpr std::uint64_t kBytesPerFile = 64U << 10;
  constexpr std::uint64_t kLeastPerLayer = 8;
  HF_ASSIGN(const auto available, store_.available_inodes());
  if (!available) return ok();
  std::uint64_t needed = 0;
  for (const auto& layer : layers_) {
    const auto size = documents_->manifest.layers[layer.index].blob.size;
    if (!layer.present) needed += kLeastPerLayer + size / kBytesPerFile;
  }
  if (needed <= *available) return ok();
  return Error{Errc::nospace, fmt::format("the image needs at least {} inodes below {}, {} are "
                                          "available",
                                          needed, store_.paths.state.string(), *available)}
      .hint("remove small files there, or recreate the file system with more inodes (mkfs -N)");
}

Status Pull::pull_layers() {
  std::vector<Layer*> todo;
  std::uint64_t missing = 0;
  for (auto& layer : layers_) {
    if (!layer.present) ++missing;
    if (!layer.present && !layer.needs_lower) todo.push_back(&layer);
  }
  free_entries_ = kFreeEntries / std::max<std::uint64_t>(missing, 1);
  const auto& blobs = documents_->manifest.layers;
  std::stable_sort(todo.begin(), todo.end(), [&](const Layer* a, const Layer* b) {
    return blobs[a->index].blob.size > blobs[b->index].blob.size;
  });
  std::mutex mutex;
  std::size_t next = 0;
  std::optional<Error> failed;
  std::stop_source abandon;
  const std::stop_callback outer{stop_, [&] { abandon.request_stop(); }};
  const std::stop_token original = std::exchange(stop_, abandon.get_token());
  const auto work = [&] {
    os::name_this_thread("pull");
    for (;;) {
      Layer* layer = nullptr;
      {
        const std::lock_guard lock{mutex};
        if (failed || next == todo.size()) return;
        layer = todo[next++];
      }
      auto done = pull_one(*layer, {});
      if (done) continue;
      const std::lock_guard lock{mutex};
      if (!failed) failed = std::move(done).error();
      abandon.request_stop();
    }
  };
  {
    // More than may unpack: who waits for the disk holds nobody up.
    std::vector<std::jthread> threads;
    const std::size_t most = 2 * std::size_t{store_.parallel_downloads};
    for (std::size_t i = 0; i < std::min(most, todo.size()); ++i) threads.emplace_back(work);
  }
  stop_ = original;
  if (stop_.stop_requested()) return Error{Errc::cancelled, "pull " + ref_.str()};
  if (failed) return *std::move(failed);
  return ok();
}

Status Pull::pull_one(Layer& layer, std::vector<std::filesystem::path> lowers) {
  const auto fetch = [&] { return store_.has_layer(layer.key) ? ok() : fetch_one(layer, lowers); };
  HF_TRY(store_.flights.join("layer:" + layer.key, stop_, fetch));
  if (layer.needs_lower || layer.present) return ok();
  // Another pull may have made it, or found out that it cannot be made alone.
  if (!store_.has_layer(layer.key)) {
    layer.needs_lower = true;
    return ok();
  }
  HF_ASSIGN(layer.meta, store_.layer_meta(layer.key));
  layer.present = true;
  return ok();
}

Status Pull::fetch_one(Layer& layer, const std::vector<std::filesystem::path>& lowers) {
  const auto& descriptor = documents_->manifest.layers[layer.index];
  HF_ASSIGN(auto slot, semaphore_.take(stop_));
  HF_ASSIGN(const std::uint64_t available, store_.available_bytes());
  HF_ASSIGN(const auto inodes, store_.available_inodes());
  HF_ASSIGN(const auto reserve, store_.reserve());
  const LayerJob job{.layer = descriptor,
                     .diff_id = documents_->config.diff_ids[layer.index],
                     .lowers = lowers,
                     .space = available,
                     .inodes = inodes,
                     .reserve = reserve,
                     .free_entries = free_entries_,
                     .partials = store_.paths.partials(),
                     .keep_blob = store_.keep_blobs};
  auto ready = lowers.empty() && !job.keep_blob ? take_ready() : nullptr;
  const auto staged = ready ? ready->staging : staging_ / fmt::format("{}", layer.index);
  const std::string name = descriptor.blob.digest.short_hex();
  const BootTime began = store_.clock.boot();
  report(name, PullPhase::downloading, 0, descriptor.blob.size);
  HF_ASSIGN(auto outcome, pull_layer(
                              origin_, store_.worker_path, job, staged, std::move(ready),
                              [&](std::uint64_t bytes) {
                                const bool all = bytes >= descriptor.blob.size;
                                report(name, all ? PullPhase::unpacking : PullPhase::downloading,
                                       bytes, descriptor.blob.size,
                                       rate_of(bytes, store_.clock.boot() - began));
                              },
                              stop_));
  if (outcome.needs_lower) {
    layer.needs_lower = true;
    return ok();
  }
  slot.give_back();
  HF_TRY(store_.sync->sync());
  HF_TRY(keep_blob(staged, descriptor.blob.digest));
  HF_TRY(store_.publish_layer(staged, layer.key));
  layer.meta = std::move(outcome.meta);
  layer.present = true;
  report(name, PullPhase::done, descriptor.blob.size, descriptor.blob.size);
  const std::lock_guard lock{stats_mutex_};
  stats_.bytes_fetched += outcome.fetched;
  ++stats_.layers_fetched;
  return ok();
}

/// The compressed bytes of a layer, checked while it was unpacked and durable by now.
Status Pull::keep_blob(const std::filesystem::path& staged, const proto::Digest& digest) {
  const auto kept = staged / "blob";
  std::error_code ignored;
  if (!std::filesystem::exists(kept, ignored)) return ok();
  lease_.hold(digest.hex());
  if (::rename(kept.c_str(), store_.paths.blob(digest).c_str()) != 0)
    return errno_error(errno, "keep layer " + digest.short_hex());
  return os::sync_directory(store_.paths.blobs());
}

Result<MergedView> Pull::view(std::size_t height) const {
  std::vector<StackLayer> stack;
  for (std::size_t i = 0; i < height; ++i) {
    const auto& implicit = layers_[i].meta.implicit_directories;
    stack.push_back({.tree = store_.paths.tree(layers_[i].key),
                     .implicit = {implicit.begin(), implicit.end()}});
  }
  return MergedView::open(std::move(stack));
}

/// Layers are settled from the bottom up: those below are final when one is looked at.
Status Pull::settle_layer(Layer& layer) {
  if (layer.present && layer.index > 0 && layer.meta.implicit_directories.size() > 1) {
    HF_ASSIGN(auto stack, view(layer.index + 1));
    for (const auto& path : layer.meta.implicit_directories) {
      HF_ASSIGN(const bool hides, stack.hides_symlink(layer.index, path));
      if (!hides) continue;
      layer.needs_lower = true;
      break;
    }
  }
  if (!layer.needs_lower) return ok();
  std::vector<std::filesystem::path> lowers;
  HF_ASSIGN(auto below, view(layer.index));
  HF_ASSIGN(const std::size_t hidden, below.hidden());
  for (std::size_t i = hidden; i < layer.index; ++i)
    lowers.push_back(store_.paths.tree(layers_[i].key));
  layer.key = proto::oci::chain_id(documents_->config.diff_ids, layer.index + 1).hex();
  layer.needs_lower = false;
  layer.present = false;
  HF_TRY(pull_one(layer, std::move(lowers)));
  if (layer.needs_lower)
    return Error{Errc::layer_unsafe,
                 fmt::format("layer {} has a hard link to a file that exists nowhere",
                             documents_->manifest.layers[layer.index].blob.digest.short_hex())};
  return ok();
}

Status Pull::make_top(const std::string& key, const std::vector<std::set<std::string>>& whiteouts) {
  if (store_.has_layer(key)) return ok();
  const auto staged = staging_ / "top";
  HF_TRY(os::make_directories(staged / "fs"));
  HF_ASSIGN(auto stack, view(layers_.size()));
  HF_TRY(build_top_layer(stack, whiteouts, staged / "fs"));
  LayerMeta meta;
  HF_ASSIGN(meta.tree, tree_digest((staged / "fs").string(), no_content));
  HF_TRY(os::write_atomic(staged / "meta.json", encode(meta), 0600, os::Durability::lazy));
  HF_TRY(sync_all());
  HF_TRY(store_.publish_layer(staged, key));
  return store_.settle_layers();
}

/// What this pull wrote so far is durable from here on, if it was not published before.
Status Pull::sync_all() {
  HF_TRY(store_.sync->sync());
  synced_ = true;
  return ok();
}

Status Pull::finish() {
  HF_ASSIGN(auto stack, view(layers_.size()));
  HF_ASSIGN(const std::size_t hidden, stack.hidden());
  ImageRecord record{.pinned = ref_.digest,
                     .manifest = documents_->manifest_digest,
                     .config = documents_->config_digest,
                     .layers = {},
                     .bytes = 0,
                     .compressed = documents_->manifest.compressed_size(),
                     .hidden = hidden,
                     .reference = from_.reference.value_or(ref_.str())};
  std::vector<std::set<std::string>> whiteouts;
  for (const auto& layer : layers_) {
    record.layers.push_back(layer.key);
    record.bytes += layer.meta.bytes;
    whiteouts.emplace_back(layer.meta.whiteout_parents.begin(), layer.meta.whiteout_parents.end());
  }
  if (record.bytes > kMaxImageBytes)
    return Error{Errc::layer_limit,
                 fmt::format("the image unpacks to {}, at most {} are allowed",
                             human_bytes(record.bytes), human_bytes(kMaxImageBytes))};
  const std::string top = top_key(documents_->manifest_digest);
  lease_.hold(top);
  record.layers.push_back(top);
  const auto written = staging_ / "record.json";
  HF_TRY(os::write_atomic(written, encode(record), 0600, os::Durability::lazy));
  HF_TRY(store_.flights.join("layer:" + top, stop_, [&] { return make_top(top, whiteouts); }));
  // The sync of the top covered the record and the documents too. Another pull may have made it.
  if (!synced_) {
    HF_TRY(sync_all());
    HF_TRY(store_.settle_layers());
  }
  if (::rename(written.c_str(), store_.paths.image(ref_.digest).c_str()) != 0)
    return errno_error(errno, "publish the record of the image");
  return os::sync_directory(store_.paths.images());
}

}  // namespace holdfast::deploy::image
