#include "deploy/image/store/collector.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "deploy/image/store/lease_file.hpp"
#include "deploy/image/store/partial.hpp"

namespace holdfast::deploy::image {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostRecord = 1U << 20;

/// When the oldest instance directory was made; none without instances. Containers keep the layers
/// open that were in place then.
Result<std::optional<WallTime>> oldest_instance(const fs::path& instances) {
  std::optional<WallTime> oldest;
  std::error_code error;
  for (fs::directory_iterator it{instances, error}; !error && it != fs::directory_iterator{};
       it.increment(error)) {
    struct statx info {};
    if (::statx(AT_FDCWD, it->path().c_str(), AT_SYMLINK_NOFOLLOW, STATX_BTIME, &info) != 0)
      continue;
    const bool known = (info.stx_mask & STATX_BTIME) != 0;
    const WallTime made{std::chrono::seconds{known ? info.stx_btime.tv_sec : 0}};
    if (!oldest || made < *oldest) oldest = made;
  }
  if (error && error.value() != ENOENT)
    return errno_error(error.value(), "list " + instances.string());
  return oldest;
}

}  // namespace

Result<std::vector<std::string>> names_in(const fs::path& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it{directory, error}; !error && it != fs::directory_iterator{};
       it.increment(error))
    names.push_back(it->path().filename().string());
  if (error) return errno_error(error.value(), "list " + directory.string());
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> Collector::reasons(const proto::Digest& pinned) const {
  std::vector<std::string> why;
  if (store_.holders) {
    if (const auto held = store_.holders->find(pinned); held != store_.holders->end())
      why = held->second;
  }
  if (why.empty() && keep_.contains(pinned)) why.emplace_back("needed");
  const auto lease = read_lease(store_.paths, pinned);
  if (lease && lease->until > store_.clock.wall())
    why.push_back(fmt::format("lease of {} until {}", lease->by, to_rfc3339(lease->until)));
  return why;
}

/// Its layers and documents, and the compressed form of the layers where that is kept.
void Collector::need(const ImageRecord& record) {
  needed_.insert({record.pinned.hex(), record.manifest.hex(), record.config.hex()});
  for (const auto& key : record.layers) {
    needed_.insert(key);
    if (const auto meta = store_.layer_meta(key)) needed_.insert(meta->blob);
  }
}

Status Collector::look_at_images() {
  HF_ASSIGN(const auto names, names_in(store_.paths.images()));
  for (const auto& name : names) {
    const auto digest = proto::Digest::parse("sha256:" + name.substr(0, name.find('.')));
    const auto text = os::read_regular_file(store_.paths.images() / name, kMostRecord);
    auto record = text ? decode_image_record(*text) : Result<ImageRecord>{text.error()};
    const bool ours = digest && name == digest->hex() + ".json";
    auto why = ours ? reasons(*digest) : std::vector<std::string>{};
    if (why.empty()) {
      plan_.remove.push_back(
          {"image", ours ? digest->str() : name, record ? record->reference : std::string{}, 0});
      continue;
    }
    plan_.kept.push_back({*digest, record ? record->reference : std::string{}, std::move(why)});
    if (!record) continue;
    need(*record);
  }
  return ok();
}

Status Collector::look_at_layers() {
  HF_ASSIGN(const auto keys, names_in(store_.paths.layers()));
  for (const auto& key : keys) {
    if (needed_.contains(key)) continue;
    const auto meta = store_.layer_meta(key);
    plan_.remove.push_back({"layer", key, {}, meta ? meta->bytes : 0});
  }
  return ok();
}

Status Collector::look_at_blobs() {
  HF_ASSIGN(const auto names, names_in(store_.paths.blobs()));
  for (const auto& name : names) {
    if (needed_.contains(name)) continue;
    std::error_code failed;
    const auto size = fs::file_size(store_.paths.blobs() / name, failed);
    plan_.remove.push_back({"blob", name, {}, failed ? 0 : size});
  }
  return ok();
}

Status Collector::look_at_replaced() {
  std::error_code ignored;
  if (!fs::exists(store_.paths.replaced(), ignored)) return ok();
  HF_ASSIGN(const auto oldest, oldest_instance(store_.paths.instances()));
  HF_ASSIGN(const auto names, names_in(store_.paths.replaced()));
  for (const auto& name : names) {
    const auto when = parse_number(name.substr(name.rfind('.') + 1));
    const WallTime since{Milliseconds{when ? static_cast<std::int64_t>(*when) : 0}};
    if (oldest && *oldest <= since) continue;
    plan_.remove.push_back({"replaced", name, {}, 0});
  }
  return ok();
}

Status Collector::look() {
  const std::lock_guard lock{store_.holders_mutex};
  HF_TRY(look_at_images());
  HF_TRY(look_at_layers());
  HF_TRY(look_at_blobs());
  HF_TRY(look_at_replaced());
  for (const auto& item : plan_.remove) plan_.bytes += item.bytes;
  return ok();
}

Result<CollectionPlan> Collector::plan() {
  HF_TRY(look());
  return std::move(plan_);
}

/// An image without a record is not there: records go first, so that no record ever lacks a layer.
/// One that somebody holds by now stays, with all that it needs.
Status Collector::drop_records(CollectionPlan& done) {
  for (const auto& item : plan_.remove) {
    if (item.kind != "image") continue;
    const auto digest = proto::Digest::parse(item.name);
    const std::string file = digest ? digest->hex() + ".json" : item.name;
    bool gone = false;
    HF_TRY(
        store_.leases.unless_held(digest ? "image:" + digest->hex() : item.name, [&]() -> Status {
          gone = true;
          return os::remove_tree(store_.paths.images() / file);
        }));
    if (gone) {
      done.remove.push_back(item);
      continue;
    }
    const auto text = os::read_regular_file(store_.paths.images() / file, kMostRecord);
    const auto record = text ? decode_image_record(*text) : Result<ImageRecord>{text.error()};
    if (!record) continue;
    need(*record);
  }
  return os::sync_directory(store_.paths.images());
}

Status Collector::take_away(const CollectionPlan::Item& item, const fs::path& what,
                            const fs::path& trash, CollectionPlan& done) {
  bool gone = false;
  HF_TRY(store_.leases.unless_held(item.name, [&]() -> Status {
    if (::rename(what.c_str(), (trash / item.name).c_str()) != 0)
      return errno == ENOENT ? ok() : errno_error(errno, "collect " + what.string());
    gone = true;
    return ok();
  }));
  if (!gone) return ok();
  done.remove.push_back(item);
  done.bytes += item.bytes;
  return os::remove_tree(trash / item.name);
}

Status Collector::drop_ended_leases() {
  HF_ASSIGN(const auto leases, read_leases(store_.paths));
  for (const auto& lease : leases) {
    if (lease.until <= store_.clock.wall())
      HF_TRY(os::remove_tree(store_.paths.lease(lease.image)));
  }
  return ok();
}

Result<CollectionPlan> Collector::run(const std::stop_token& stop) {
  constexpr std::chrono::hours kPartialLife{72};
  HF_TRY(look());
  CollectionPlan done;
  done.kept = std::move(plan_.kept);
  HF_TRY(drop_ended_leases());
  HF_TRY(drop_records(done));
  HF_TRY(Partial::sweep(store_.paths.partials(), store_.clock.wall() - kPartialLife));
  HF_ASSIGN(const auto trash, os::TempDir::create(store_.paths.ingest(), "trash"));
  for (const auto& item : plan_.remove) {
    if (stop.stop_requested()) return Error{Errc::cancelled, "collect images"};
    if (item.kind == "image" || needed_.contains(item.name)) continue;
    const auto where = item.kind == "layer"  ? store_.paths.layer(item.name)
                       : item.kind == "blob" ? store_.paths.blobs() / item.name
                                             : store_.paths.replaced() / item.name;
    HF_TRY(take_away(item, where, trash.path(), done));
  }
  return done;
}

}  // namespace holdfast::deploy::image
