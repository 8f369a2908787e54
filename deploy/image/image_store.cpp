#include "deploy/image/image_store.hpp"

#include <fmt/format.h>

#include <filesystem>

#include "common/log/log.hpp"
#include "common/os/file.hpp"
#include "deploy/image/documents.hpp"
#include "deploy/image/pace.hpp"
#include "deploy/image/partial.hpp"
#include "deploy/image/pull.hpp"
#include "deploy/image/store.hpp"

namespace holdfast::deploy::image {
namespace {

namespace fs = std::filesystem;

/// Names in a directory, without the temporary files of write_atomic.
Result<std::vector<std::string>> names_in(const fs::path& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it{directory, error}; !error && it != fs::directory_iterator{};
       it.increment(error))
    names.push_back(it->path().filename().string());
  if (error) return errno_error(error.value(), "list " + directory.string());
  return names;
}

class Impl final : public Images {
 public:
  explicit Impl(std::unique_ptr<Store> store) : store_(std::move(store)) {}

  Result<Pulled> ensure(const proto::ImageRef& ref, const ProgressSink& progress,
                        const std::stop_token& stop) override {
    PullStats stats;
    // While it is being made sure of, nobody collects it.
    Leases::Lease lease{store_->leases};
    lease.hold("image:" + ref.digest.hex());
    auto whole = store_->flights.join("image:" + ref.digest.hex(), stop, [&]() -> Status {
      if (auto found = find(ref.digest)) {
        stats.layers_local = static_cast<std::uint32_t>(found->config.diff_ids.size());
        return ok();
      }
      Pull pull{*store_, ref, progress, stop};
      HF_ASSIGN(stats, pull.run());
      log::info("event=image_pulled image={} layers={} local={} bytes={} ms={}",
                log::field(ref.str()), stats.layers_fetched, stats.layers_local,
                stats.bytes_fetched, stats.duration.count());
      return ok();
    });
    if (!whole) return std::move(whole).error().in("pull " + ref.str());
    HF_ASSIGN(auto image, find(ref.digest));
    return Pulled{.image = std::move(image), .stats = stats};
  }

  Result<StoredImage> find(const proto::Digest& pinned) override {
    auto text = os::read_file(store_->paths.image(pinned), 1U << 20);
    if (!text && text.error().code() == Errc::not_found)
      return Error{Errc::not_found, fmt::format("image {} is not in the store", pinned.str())}.hint(
          "pull it, or apply a deployment that names it");
    if (!text) return std::move(text).error();
    auto record = decode_image_record(*text);
    if (!record) return std::move(record).error().in("record of image " + pinned.str());
    std::vector<fs::path> lowers;
    for (const auto& key : record->layers) {
      if (!store_->has_layer(key))
        return Error{Errc::not_found, fmt::format("image {} lacks its layer {}", pinned.str(), key)}
            .hint("pull the image again");
      lowers.push_back(store_->paths.tree(key));
    }
    HF_ASSIGN(const std::string bytes, read_blob(store_->paths, record->config));
    HF_ASSIGN(auto config, proto::oci::parse_config(bytes));
    return StoredImage{.pinned = record->pinned,
                       .manifest = record->manifest,
                       .config = std::move(config),
                       .lowers = std::move(lowers),
                       .unpacked_size = Bytes{record->bytes}};
  }

  Result<std::set<proto::Digest>> list() override {
    HF_ASSIGN(const auto names, names_in(store_->paths.images()));
    std::set<proto::Digest> out;
    for (const auto& name : names) {
      if (!name.ends_with(".json")) continue;
      auto digest = proto::Digest::parse("sha256:" + name.substr(0, name.size() - 5));
      if (digest && find(*digest)) out.insert(*std::move(digest));
    }
    return out;
  }

  Result<Collected> collect(const std::set<proto::Digest>& keep,
                            const std::stop_token& stop) override {
    constexpr std::chrono::hours kPartialLife{72};
    Collected collected;
    HF_TRY(drop_records(keep));
    HF_TRY(Partial::sweep(store_->paths.partials(), store_->clock.wall() - kPartialLife));
    HF_ASSIGN(const auto needed, needed_names());
    HF_ASSIGN(const auto trash, os::TempDir::create(store_->paths.ingest(), "trash"));
    HF_ASSIGN(const auto layers, names_in(store_->paths.layers()));
    for (const auto& key : layers) {
      if (stop.stop_requested()) return Error{Errc::cancelled, "collect images"};
      if (needed.contains(key)) continue;
      const auto meta = store_->layer_meta(key);
      HF_TRY(take_away(store_->paths.layer(key), key, trash.path(), [&] {
        ++collected.layers;
        if (meta) collected.bytes += meta->bytes;
      }));
      HF_TRY(os::remove_tree(trash.path() / key));
    }
    HF_ASSIGN(const auto blobs, names_in(store_->paths.blobs()));
    for (const auto& name : blobs) {
      if (needed.contains(name)) continue;
      std::error_code ignored;
      const auto size = fs::file_size(store_->paths.blobs() / name, ignored);
      HF_TRY(take_away(store_->paths.blobs() / name, name, trash.path(), [&] {
        ++collected.blobs;
        if (!ignored) collected.bytes += size;
      }));
    }
    return collected;
  }

 private:
  /// An image without a record is not there: records go first, so that no record ever lacks a
  /// layer.
  Status drop_records(const std::set<proto::Digest>& keep) {
    HF_ASSIGN(const auto names, names_in(store_->paths.images()));
    for (const auto& name : names) {
      const auto digest = proto::Digest::parse("sha256:" + name.substr(0, name.find('.')));
      if (digest && name == digest->hex() + ".json" && keep.contains(*digest)) continue;
      const std::string held = digest ? "image:" + digest->hex() : name;
      HF_TRY(store_->leases.unless_held(
          held, [&] { return os::remove_tree(store_->paths.images() / name); }));
    }
    return os::sync_directory(store_->paths.images());
  }

  /// Names of layers and blobs that the remaining records, and the manifests they come from, name.
  Result<std::set<std::string>> needed_names() {
    HF_ASSIGN(const auto names, names_in(store_->paths.images()));
    std::set<std::string> needed;
    for (const auto& name : names) {
      const auto text = os::read_file(store_->paths.images() / name, 1U << 20);
      if (!text) continue;
      const auto record = decode_image_record(*text);
      if (!record) continue;
      needed.insert(record->layers.begin(), record->layers.end());
      needed.insert({record->pinned.hex(), record->manifest.hex(), record->config.hex()});
    }
    return needed;
  }

  Status take_away(const fs::path& what, const std::string& name, const fs::path& trash,
                   const std::function<void()>& counted) {
    return store_->leases.unless_held(name, [&]() -> Status {
      if (::rename(what.c_str(), (trash / name).c_str()) != 0)
        return errno_error(errno, "collect " + what.string());
      counted();
      return ok();
    });
  }

  std::unique_ptr<Store> store_;
};

Status sweep(const fs::path& ingest) {
  HF_ASSIGN(const auto names, names_in(ingest));
  for (const auto& name : names) {
    const auto lock = os::FileLock::acquire(ingest / name / "lock");
    if (!lock && lock.error().code() == Errc::busy) continue;  // somebody is at work in it
    HF_TRY(os::remove_tree(ingest / name));
  }
  return ok();
}

}  // namespace

Result<std::unique_ptr<Images>> ImageStore::open(Options options) {
  const Paths paths{.state = std::move(options.state_dir)};
  for (const auto& directory : {paths.state, paths.blobs(), paths.layers(), paths.images(),
                                paths.ingest(), paths.partials()})
    HF_TRY(os::make_directories(directory));
  HF_TRY(sweep(paths.ingest()));
  HF_ASSIGN(auto sync, SyncPoint::open(paths.state));
  os::UniqueFd pace;
  if (options.bytes_per_second > 0) {
    HF_ASSIGN(pace, make_pace());
  }
  auto store = std::unique_ptr<Store>{
      new Store{.paths = paths,
                .worker_path = options.worker_path.string(),
                .registries = std::move(options.registries),
                .parallel_downloads = std::max(options.parallel_downloads, 1U),
                .bytes_per_second = options.bytes_per_second,
                .pace = std::move(pace),
                .host_files = std::move(options.host_files),
                .clock = options.clock,
                .sync = std::move(sync),
                .flights = {},
                .leases = {}}};
  return std::unique_ptr<Images>{std::make_unique<Impl>(std::move(store))};
}

}  // namespace holdfast::deploy::image
