#include "deploy/image/image_store.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <filesystem>

#include "common/log/log.hpp"
#include "common/os/file.hpp"
#include "common/os/process.hpp"
#include "deploy/fetch/bandwidth_limit.hpp"
#include "deploy/image/archive/export.hpp"
#include "deploy/image/archive/import.hpp"
#include "deploy/image/layers/verifier.hpp"
#include "deploy/image/pull/documents.hpp"
#include "deploy/image/pull/pull.hpp"
#include "deploy/image/store/collector.hpp"
#include "deploy/image/store/lease_file.hpp"
#include "deploy/image/store/store.hpp"
#include "proto/deployment/rules.hpp"

namespace holdfast::deploy::image {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostRecord = 1U << 20;

std::optional<WallTime> modified(const fs::path& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return std::nullopt;
  return WallTime{std::chrono::seconds{info.st_mtim.tv_sec} +
                  Milliseconds{info.st_mtim.tv_nsec / 1'000'000}};
}

class Impl final : public ImageStore {
 public:
  explicit Impl(std::unique_ptr<Store> store) : store_(std::move(store)) {}

  // Images
  Result<Pulled> ensure(const Wanted& wanted, const ProgressSink& progress,
                        const std::stop_token& stop) override;
  Result<StoredImage> find(const proto::Digest& pinned) override;
  Result<HeldImage> look(const proto::Digest& pinned) override;
  Result<std::set<proto::Digest>> list() override;
  void retain(Holders holders) override;
  Result<Collected> collect(const std::set<proto::Digest>& keep,
                            const std::stop_token& stop) override;

  void expect_pull() override { store_->spare.prepare(); }

  // ImageMaintenance
  Result<std::vector<ImageInfo>> inventory() override;
  Status lease(const proto::Digest& pinned, WallTime until, const std::string& by) override {
    return write_lease(store_->paths, {pinned, until, by});
  }
  Result<CollectionPlan> plan_collection() override {
    HF_TRY(engine_has_spoken());
    return Collector{*store_, {}}.plan();
  }
  Result<CollectionPlan> collect_unneeded(const std::stop_token& stop) override {
    HF_TRY(engine_has_spoken());
    return Collector{*store_, {}}.run(stop);
  }
  Result<Verification> verify(const std::set<proto::Digest>& images, const Budget& budget,
                              const ProgressSink& progress, const std::stop_token& stop) override;
  Result<std::optional<Verification>> scrub_one(Milliseconds age, const Budget& budget,
                                                const std::stop_token& stop) override;

  // ImageArchives
  Result<Imported> import_archive(const os::UniqueFd& file, const std::string& reference,
                                  WallTime until, const std::string& by,
                                  const ProgressSink& progress,
                                  const std::stop_token& stop) override {
    return import_images(*store_, {file, reference, until, by, progress, stop});
  }
  Result<std::uint64_t> export_archive(const proto::Digest& pinned, const os::UniqueFd& file,
                                       const ProgressSink& progress,
                                       const std::stop_token& stop) override {
    HF_ASSIGN(const auto found, record(pinned.hex() + ".json"));
    return export_image(*store_, found, file, progress, stop);
  }

 private:
  Status engine_has_spoken() {
    const std::lock_guard lock{store_->holders_mutex};
    if (store_->holders) return ok();
    return Error{Errc::busy,
                 "the agent has just started and does not know yet which images it "
                 "needs"}
        .hint("try again in a few seconds");
  }
  /// All of its documents are here too, which running it does not need.
  [[nodiscard]] bool has_documents(const proto::Digest& pinned,
                                   const proto::Digest& manifest) const {
    std::error_code ignored;
    return fs::exists(store_->paths.blob(pinned), ignored) &&
           fs::exists(store_->paths.blob(manifest), ignored);
  }
  Result<ImageRecord> record(const std::string& file) const {
    HF_ASSIGN(const auto text, os::read_regular_file(store_->paths.images() / file, kMostRecord));
    return decode_image_record(text);
  }
  /// Of an image whose layers are all there. Errors: as `find`.
  [[nodiscard]] Result<ImageRecord> held_record(const proto::Digest& pinned) const;
  [[nodiscard]] std::vector<ImageRecord> records() const;
  [[nodiscard]] ImageInfo info_of(const ImageRecord& record) const;
  [[nodiscard]] std::vector<std::string> damage_of(const ImageRecord& record) const;
  [[nodiscard]] WallTime verified_at(const std::string& key) const {
    return modified(store_->paths.verified(key))
        .value_or(modified(store_->paths.meta(key)).value_or(WallTime{}));
  }

  std::unique_ptr<Store> store_;
};

Result<Pulled> Impl::ensure(const Wanted& wanted, const ProgressSink& progress,
                            const std::stop_token& stop) {
  const auto& ref = wanted.ref;
  PullStats stats;
  // While it is being made sure of, nobody collects it.
  Leases::Lease lease{store_->leases};
  lease.hold("image:" + ref.digest.hex());
  auto whole = store_->flights.join("image:" + ref.digest.hex(), stop, [&]() -> Status {
    if (auto found = find(ref.digest); found && has_documents(ref.digest, found->manifest)) {
      stats.layers_local = static_cast<std::uint32_t>(found->config.diff_ids.size());
      return ok();
    }
    Pull pull{*store_,
              ref,
              progress,
              stop,
              {.archive = -1, .reference = {}, .max_size = wanted.max_size}};
    HF_ASSIGN(stats, pull.run());
    log::info("event=image_pulled image={} layers={} local={} bytes={} ms={}",
              log::field(ref.str()), stats.layers_fetched, stats.layers_local, stats.bytes_fetched,
              stats.duration.count());
    return ok();
  });
  if (!whole) return std::move(whole).error().in("pull " + ref.str());
  HF_ASSIGN(auto image, find(ref.digest));
  // It was here, or came by a pull with another limit.
  HF_TRY(proto::rules::check_image_size(ref.str(), image.compressed_size, wanted.max_size));
  return Pulled{.image = std::move(image), .stats = stats};
}

Result<ImageRecord> Impl::held_record(const proto::Digest& pinned) const {
  auto record = this->record(pinned.hex() + ".json");
  if (!record && record.error().code() == Errc::not_found)
    return Error{Errc::not_found, fmt::format("image {} is not in the store", pinned.str())}.hint(
        "pull it, or apply a deployment that names it");
  if (!record) return std::move(record).error().in("record of image " + pinned.str());
  for (const auto& key : record->layers) {
    if (store_->has_layer(key)) continue;
    if (const auto wrong = store_->damage_of(key); !wrong.empty())
      return Error{Errc::layer_corrupt, fmt::format("layer {} of image {} is damaged on disk: {}",
                                                    key, pinned.str(), wrong)}
          .hint("repair it while its registry can be reached: holdfast image verify --repair");
    return Error{Errc::not_found, fmt::format("image {} lacks its layer {}", pinned.str(), key)}
        .hint("pull the image again");
  }
  return record;
}

Result<StoredImage> Impl::find(const proto::Digest& pinned) {
  HF_ASSIGN(const auto record, held_record(pinned));
  HF_ASSIGN(const std::string bytes, read_blob(store_->paths, record.config));
  HF_ASSIGN(auto config, proto::oci::parse_config(bytes));
  std::vector<fs::path> lowers;
  for (const auto& key : record.layers) lowers.push_back(store_->paths.tree(key));
  lowers.erase(lowers.begin(), lowers.begin() + static_cast<std::ptrdiff_t>(record.hidden));
  return StoredImage{.pinned = record.pinned,
                     .manifest = record.manifest,
                     .config = std::move(config),
                     .lowers = std::move(lowers),
                     .unpacked_size = Bytes{record.bytes},
                     .compressed_size = Bytes{record.compressed}};
}

Result<HeldImage> Impl::look(const proto::Digest& pinned) {
  HF_ASSIGN(const auto record, held_record(pinned));
  struct stat info {};
  if (::stat(store_->paths.blob(record.config).c_str(), &info) != 0)
    return Error{Errc::not_found, fmt::format("image {} lacks its configuration {}", pinned.str(),
                                              record.config.str())}
        .hint("pull the image again");
  return HeldImage{.manifest = record.manifest, .compressed_size = Bytes{record.compressed}};
}

std::vector<ImageRecord> Impl::records() const {
  std::vector<ImageRecord> out;
  const auto names = names_in(store_->paths.images());
  if (!names) return out;
  for (const auto& name : *names) {
    if (!name.ends_with(".json")) continue;
    if (auto one = record(name)) out.push_back(*std::move(one));
  }
  return out;
}

Result<std::set<proto::Digest>> Impl::list() {
  std::set<proto::Digest> out;
  for (const auto& each : records()) {
    if (find(each.pinned)) out.insert(each.pinned);
  }
  return out;
}

void Impl::retain(Holders holders) {
  std::set<std::string> names;
  for (const auto& [digest, why] : holders) names.insert("image:" + digest.hex());
  const std::lock_guard lock{store_->holders_mutex};
  store_->leases.retain(std::move(names));
  store_->holders = std::move(holders);
}

Result<Collected> Impl::collect(const std::set<proto::Digest>& keep, const std::stop_token& stop) {
  HF_ASSIGN(const auto done, (Collector{*store_, keep}.run(stop)));
  Collected collected{.layers = 0, .blobs = 0, .bytes = done.bytes};
  for (const auto& item : done.remove) {
    if (item.kind == "layer") ++collected.layers;
    if (item.kind == "blob") ++collected.blobs;
  }
  return collected;
}

std::vector<std::string> Impl::damage_of(const ImageRecord& record) const {
  std::vector<std::string> damage;
  for (const auto& key : record.layers) {
    if (store_->has_layer(key)) continue;
    const auto wrong = store_->damage_of(key);
    damage.push_back(fmt::format("layer {}: {}", key, wrong.empty() ? "it is missing" : wrong));
  }
  for (const auto& digest : {record.pinned, record.manifest, record.config}) {
    std::error_code ignored;
    if (!fs::exists(store_->paths.blob(digest), ignored))
      damage.push_back(fmt::format("document {}: it is missing", digest.str()));
  }
  // A manifest that is pinned itself is one document.
  damage.erase(std::unique(damage.begin(), damage.end()), damage.end());
  return damage;
}

ImageInfo Impl::info_of(const ImageRecord& record) const {
  ImageInfo info{.pinned = record.pinned,
                 .manifest = record.manifest,
                 .reference = record.reference,
                 .bytes = record.bytes,
                 .layers = static_cast<std::uint32_t>(record.layers.size()),
                 .pulled = modified(store_->paths.image(record.pinned)).value_or(WallTime{}),
                 .holders = {},
                 .leased_until = {},
                 .leased_by = {},
                 .verified = {},
                 .damage = damage_of(record)};
  const auto lease = read_lease(store_->paths, record.pinned);
  if (lease && lease->until > store_->clock.wall()) {
    info.leased_until = lease->until;
    info.leased_by = lease->by;
  }
  for (const auto& key : record.layers) {
    const auto at = modified(store_->paths.verified(key));
    if (!at) {
      info.verified.reset();
      break;
    }
    info.verified = info.verified ? std::min(*info.verified, *at) : *at;
  }
  return info;
}

Result<std::vector<ImageInfo>> Impl::inventory() {
  std::vector<ImageInfo> out;
  for (const auto& each : records()) out.push_back(info_of(each));
  const std::lock_guard lock{store_->holders_mutex};
  for (auto& info : out) {
    if (!store_->holders) continue;
    if (const auto held = store_->holders->find(info.pinned); held != store_->holders->end())
      info.holders = held->second;
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
    return std::tie(a.reference, a.pinned) < std::tie(b.reference, b.pinned);
  });
  return out;
}

Result<Verification> Impl::verify(const std::set<proto::Digest>& images, const Budget& budget,
                                  const ProgressSink& progress, const std::stop_token& stop) {
  std::vector<ImageRecord> chosen;
  for (auto& each : records()) {
    if (images.empty() || images.contains(each.pinned)) chosen.push_back(std::move(each));
  }
  for (const auto& digest : images) {
    if (std::none_of(chosen.begin(), chosen.end(),
                     [&](const auto& each) { return each.pinned == digest; }))
      return Error{Errc::not_found, fmt::format("image {} is not in the store", digest.str())}.hint(
          "`holdfast image list` shows those that are");
  }
  Verifier verifier{*store_, budget, stop};
  std::set<std::string> seen;
  for (const auto& each : chosen) {
    for (const auto& digest : {each.pinned, each.manifest, each.config})
      (void)read_blob(store_->paths, digest);  // a damaged one is removed, and missing from then on
    for (const auto& key : each.layers) {
      if (!seen.insert(key).second) continue;
      const auto meta = store_->layer_meta(key);
      const std::uint64_t total = meta ? meta->bytes : 0;
      const auto tell = [&](PullPhase phase, std::uint64_t bytes) {
        if (progress)
          progress({.image = each.reference.empty() ? each.pinned.str() : each.reference,
                    .layer = key.substr(0, 12),
                    .phase = phase,
                    .bytes = bytes,
                    .total = total});
      };
      tell(PullPhase::verifying, 0);
      HF_ASSIGN(const auto wrong, verifier.layer(key, [&](std::uint64_t bytes) {
        tell(PullPhase::verifying, std::min(bytes, total));
      }));
      tell(PullPhase::done, total);
    }
  }
  auto sum = verifier.sum();
  for (const auto& each : chosen) {
    if (!damage_of(each).empty()) sum.damaged.push_back(each.pinned);
  }
  return sum;
}

Result<std::optional<Verification>> Impl::scrub_one(Milliseconds age, const Budget& budget,
                                                    const std::stop_token& stop) {
  std::string oldest;
  WallTime when = store_->clock.wall() - age;
  const auto all = records();
  for (const auto& each : all) {
    for (const auto& key : each.layers) {
      if (!store_->has_layer(key)) continue;  // known already
      if (const auto at = verified_at(key); at <= when) {
        when = at;
        oldest = key;
      }
    }
  }
  if (oldest.empty()) return std::optional<Verification>{};
  Verifier verifier{*store_, budget, stop};
  HF_ASSIGN(const auto wrong, verifier.layer(oldest, {}));
  auto sum = verifier.sum();
  // What cannot be told is not asked again and again.
  if (sum.unknown > 0)
    HF_TRY(os::write_atomic(store_->paths.verified(oldest), "", 0600, os::Durability::lazy));
  for (const auto& each : all) {
    const bool uses =
        std::find(each.layers.begin(), each.layers.end(), oldest) != each.layers.end();
    if (uses && !wrong.empty()) sum.damaged.push_back(each.pinned);
  }
  return std::optional{std::move(sum)};
}

/// A child of an agent that was killed may write for another moment, until it sees that nobody
/// listens: its work is then not empty when it should go. What stays after all is no reason not to
/// start.
Status sweep(const fs::path& ingest, const Clock& clock) {
  constexpr int kTries = 50;
  constexpr Milliseconds kPause{20};
  HF_ASSIGN(const auto names, names_in(ingest));
  for (const auto& name : names) {
    const auto lock = os::FileLock::acquire(ingest / name / "lock");
    if (!lock && lock.error().code() == Errc::busy) continue;  // somebody is at work in it
    auto gone = os::remove_tree(ingest / name);
    for (int i = 0; !gone && i < kTries; ++i) {
      (void)os::sleep_until(clock.boot() + kPause, {});
      gone = os::remove_tree(ingest / name);
    }
    if (!gone)
      log::warn("event=ingest_not_swept path={} error={}", (ingest / name).string(),
                log::field(gone.error().to_string()));
  }
  return ok();
}

}  // namespace

Result<std::unique_ptr<ImageStore>> ImageStore::open(Options options) {
  const Paths paths{.state = std::move(options.state_dir)};
  for (const auto& directory : {paths.state, paths.blobs(), paths.layers(), paths.images(),
                                paths.leases(), paths.ingest(), paths.partials()})
    HF_TRY(os::make_directories(directory));
  HF_TRY(sweep(paths.ingest(), options.clock));
  HF_ASSIGN(auto sync, SyncPoint::open(paths.state));
  os::UniqueFd bandwidth;
  if (options.bytes_per_second > 0) {
    HF_ASSIGN(bandwidth, fetch::make_bandwidth_limit());
  }
  auto child = fetch::network_child(options.worker_path.string(), bandwidth.get());
  auto store = std::unique_ptr<Store>{
      new Store{.paths = paths,
                .worker_path = options.worker_path.string(),
                .registries = std::move(options.registries),
                .parallel_downloads = std::max(options.parallel_downloads, 1U),
                .bytes_per_second = options.bytes_per_second,
                .keep_blobs = options.keep_blobs,
                .bandwidth = std::move(bandwidth),
                .spare = fetch::Spare{std::move(child)},
                .proxy = std::move(options.proxy),
                .host_files = std::move(options.host_files),
                .clock = options.clock,
                .sync = std::move(sync),
                .flights = {},
                .leases = {},
                .holders_mutex = {},
                .holders = {}}};
  return std::unique_ptr<ImageStore>{std::make_unique<Impl>(std::move(store))};
}

}  // namespace holdfast::deploy::image
