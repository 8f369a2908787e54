#include "agent/daemon/image_desk.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "common/base/text.hpp"
#include "common/log/log.hpp"
#include "common/os/file.hpp"
#include "deploy/engine/pull_event.hpp"
#include "proto/api/codec.hpp"
#include "proto/image_ref.hpp"

namespace holdfast::agent::daemon {
namespace {

namespace api = proto::api;
namespace image = deploy::image;

constexpr std::chrono::hours kLease{24};  ///< as containerd's
constexpr std::size_t kMostWaiting = 8;
constexpr std::size_t kLeastDigits = 6;
constexpr std::chrono::minutes kLookAgain{10};
constexpr std::chrono::seconds kFirstRepair{30};

api::ImageItem item_of(const image::ImageInfo& info) {
  return {.reference = info.reference,
          .digest = info.pinned.str(),
          .manifest = info.manifest.str(),
          .bytes = info.bytes,
          .layers = info.layers,
          .pulled = to_rfc3339(info.pulled),
          .needed_by = info.holders,
          .leased_until = info.leased_until ? to_rfc3339(*info.leased_until) : std::string{},
          .leased_by = info.leased_by,
          .verified = info.verified ? to_rfc3339(*info.verified) : std::string{},
          .damage = info.damage};
}

api::ImageGcReport report_of(const image::CollectionPlan& plan, bool dry_run) {
  api::ImageGcReport report{.dry_run = dry_run, .removed = {}, .kept = {}, .bytes = plan.bytes};
  for (const auto& each : plan.remove)
    report.removed.push_back({each.kind, each.name, each.reference, each.bytes});
  for (const auto& each : plan.kept)
    report.kept.push_back({each.image.str(), each.reference, each.why});
  return report;
}

/// Whether somebody may have meant this image: by its reference, its digest or the beginning of
/// that.
bool names(const std::string& name, const image::ImageInfo& info) {
  if (name == info.reference) return true;
  const auto digits = name.starts_with("sha256:") ? name.substr(7) : name;
  if (digits.size() >= kLeastDigits &&
      digits.find_first_not_of("0123456789abcdef") == std::string::npos)
    return info.pinned.hex().starts_with(digits);
  const auto ref = proto::ImageRef::parse(name);
  return ref && ref->digest == info.pinned;
}

Status absolute(const std::string& path) {
  if (path.starts_with('/')) return ok();
  return Error{Errc::usage, fmt::format("path: \"{}\" is not absolute", printable(path))};
}

}  // namespace

ImageDesk::ImageDesk(Parts parts, proto::ScrubConfig scrub) : parts_(parts), scrub_config_(scrub) {
  // What it starts with comes first.
  const Milliseconds soon =
      scrub_config_.every > Milliseconds{0} ? scrub_config_.every / 4 : kFirstRepair;
  next_scrub_ = parts_.clock.boot() + std::min<Milliseconds>(kFirstRepair, soon);
}

Result<api::ImageJob> ImageDesk::start(const std::string& operation, const std::string& actor,
                                       Work work) {
  const std::lock_guard lock{mutex_};
  if (queue_.size() > kMostWaiting)
    return Error{Errc::busy, fmt::format("{} jobs wait for the image store already, the first is "
                                         "the {}",
                                         queue_.size() - 1, queue_.front())}
        .hint("wait for them: holdfast events -f --kind image");
  api::ImageJob job{.job = next_job_++,
                    .operation = operation,
                    .waits_for = queue_.empty() ? std::string{} : queue_.front(),
                    .since_event = parts_.engine.events().last()};
  if (scrub_) scrub_->request_stop();
  const bool started =
      work_.start([this, number = job.job, operation, work = std::move(work)](
                      const std::stop_token& stop) { run(number, operation, work, stop); });
  if (!started) return Error{Errc::busy, "the agent is about to end"}.hint("start it again");
  queue_.push_back(fmt::format("{} of {}", operation, actor));
  log::info("event=image_job_started job={} operation={} actor={}", job.job, operation,
            log::field(actor));
  return job;
}

void ImageDesk::run(std::uint64_t job, const std::string& operation, const Work& work,
                    const std::stop_token& stop) {
  const BootTime began = parts_.clock.boot();
  Outcome outcome{.job = job, .operation = operation};
  const auto done = work(outcome, stop);
  outcome.seconds = std::chrono::duration<double>(parts_.clock.boot() - began).count();
  if (!done)
    outcome.error = api::ErrorBody{std::string{code(done.error().code())}, done.error().what(),
                                   done.error().next_step()};
  log::info("event=image_job_ended job={} operation={} seconds={:.3f} bytes={} error={}", job,
            operation, outcome.seconds, outcome.bytes,
            log::field(done ? std::string{} : done.error().to_string()));
  {
    const std::lock_guard lock{mutex_};
    queue_.erase(queue_.begin());
    ++figures_.jobs[{operation, done ? "success" : "error"}];
  }
  api::Event event;
  event.time = to_rfc3339(parts_.clock.wall());
  event.kind = "image";
  event.message = fmt::format("{} {}", operation, done ? "done" : done.error().what());
  event.detail = api::encode(outcome);
  parts_.engine.events().publish(std::move(event));
}

image::ProgressSink ImageDesk::sink() {
  return [this](const image::PullProgress& progress) {
    parts_.engine.events().publish(deploy::engine::pull_event(progress, parts_.clock.wall()));
  };
}

Status ImageDesk::add_items(const Digests& digests, Outcome& outcome) {
  HF_ASSIGN(const auto all, parts_.care.inventory());
  for (const auto& info : all) {
    if (digests.contains(info.pinned)) outcome.images.push_back(item_of(info));
  }
  return ok();
}

Result<WallTime> ImageDesk::lease_end(const std::string& until) const {
  if (until.empty()) return parts_.clock.wall() + kLease;
  auto time = parse_rfc3339(until);
  if (!time) return std::move(time).error().in("until");
  if (*time <= parts_.clock.wall())
    return Error{Errc::usage, fmt::format("until: {} is in the past", to_rfc3339(*time))};
  return time;
}

Result<api::ImageJob> ImageDesk::pull(const api::ImagePullRequest& request,
                                      const std::string& actor) {
  HF_ASSIGN(const auto ref, proto::ImageRef::parse(request.image));
  HF_ASSIGN(const auto until, lease_end(request.until));
  return start("pull", actor,
               [this, ref, until, actor](Outcome& outcome, const std::stop_token& stop) {
                 return do_pull(ref, until, actor, outcome, stop);
               });
}

Status ImageDesk::do_pull(const proto::ImageRef& ref, WallTime until, const std::string& actor,
                          Outcome& outcome, const std::stop_token& stop) {
  // Before the image is there, so that no collection takes it in between.
  HF_TRY(parts_.care.lease(ref.digest, until, actor));
  auto pulled = parts_.images.ensure({ref, {}}, sink(), stop);
  if (!pulled) return std::move(pulled).error();
  outcome.bytes = pulled->stats.bytes_fetched;
  parts_.engine.images_changed("", actor);
  return add_items({ref.digest}, outcome);
}

/// Digests of the images that these names mean; empty for no names.
Result<ImageDesk::Digests> ImageDesk::resolve(const std::vector<std::string>& wanted) {
  Digests found;
  if (wanted.empty()) return found;
  HF_ASSIGN(const auto all, parts_.care.inventory());
  for (const auto& name : wanted) {
    Digests matching;
    for (const auto& info : all) {
      if (names(name, info)) matching.insert(info.pinned);
    }
    if (matching.empty())
      return Error{Errc::not_found, fmt::format("there is no image {} here", printable(name))}.hint(
          "`holdfast image list` shows those that are");
    if (matching.size() > 1)
      return Error{Errc::conflict,
                   fmt::format("{} images begin with {}", matching.size(), printable(name))}
          .hint("write more digits");
    found.merge(matching);
  }
  return found;
}

Result<api::ImageJob> ImageDesk::verify(const api::ImageVerifyRequest& request,
                                        const std::string& actor) {
  return start("verify", actor,
               [this, request, actor](Outcome& outcome, const std::stop_token& stop) {
                 return do_verify(request, actor, outcome, stop);
               });
}

void ImageDesk::count(const image::Verification& sum) {
  const std::lock_guard lock{mutex_};
  figures_.verified_layers += sum.layers;
  figures_.verified_bytes += sum.bytes;
}

Status ImageDesk::do_verify(const api::ImageVerifyRequest& request, const std::string& actor,
                            Outcome& outcome, const std::stop_token& stop) {
  HF_ASSIGN(auto wanted, resolve(request.images));
  HF_ASSIGN(const auto sum, parts_.care.verify(wanted, {}, sink(), stop));
  count(sum);
  outcome.bytes = sum.bytes;
  if (!sum.damaged.empty()) {
    const std::lock_guard lock{mutex_};
    figures_.damaged_images += sum.damaged.size();
    next_scrub_ = {};  // which repairs what is not repaired below
    failed_repairs_ = 0;
  }
  parts_.engine.images_changed("", actor);
  HF_ASSIGN(const auto all, parts_.care.inventory());
  std::vector<image::ImageInfo> damaged;
  for (const auto& info : all) {
    if (wanted.empty() || wanted.contains(info.pinned)) {
      if (!info.damage.empty()) damaged.push_back(info);
    }
  }
  Status repaired = ok();
  if (request.repair && !damaged.empty()) {
    repaired = repair(damaged, outcome, stop);
    parts_.engine.images_changed("", actor);
  }
  if (wanted.empty()) {
    for (const auto& info : all) wanted.insert(info.pinned);
  }
  HF_TRY(add_items(wanted, outcome));
  return repaired;
}

/// Fetches what is damaged again, all of it even if one fails; the first failure.
Status ImageDesk::repair(const std::vector<image::ImageInfo>& damaged, Outcome& outcome,
                         const std::stop_token& stop) {
  Status first = ok();
  for (const auto& info : damaged) {
    auto ref = proto::ImageRef::parse(info.reference);
    auto done = ref ? parts_.images.ensure({*ref, {}}, sink(), stop)
                    : Result<image::Pulled>{
                          Error{Errc::not_found, "it is not known from where it came"}.hint(
                              "import it again, or pull it by its reference")};
    if (done) {
      log::info("event=image_repaired image={} bytes={}", log::field(info.reference),
                done->stats.bytes_fetched);
      outcome.repaired.push_back(info.pinned.str());
    } else if (first) {
      first = std::move(done).error().in("repair " + info.pinned.str());
    }
    if (stop.stop_requested()) return Error{Errc::cancelled, "repair images"};
  }
  return first;
}

Result<api::ImageJob> ImageDesk::export_image(const api::ImageExportRequest& request,
                                              const std::string& actor, os::FileUser user) {
  HF_TRY(absolute(request.path));
  return start(
      "export", actor,
      [this, request, user = std::move(user)](Outcome& outcome, const std::stop_token& stop) {
        return do_export(request, user, outcome, stop);
      });
}

/// Written beside the file and put in its place when it is whole.
Status ImageDesk::do_export(const api::ImageExportRequest& request, const os::FileUser& user,
                            Outcome& outcome, const std::stop_token& stop) {
  HF_ASSIGN(const auto wanted, resolve({request.image}));
  const std::string beside = fmt::format("{}.part-{}", request.path, outcome.job);
  os::UniqueFd file;
  HF_TRY(os::as_user(user, [&]() -> Status {
    HF_ASSIGN(file, os::open_file(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644));
    return ok();
  }));
  auto written = parts_.archives.export_archive(*wanted.begin(), file, sink(), stop);
  const auto placed = os::as_user(user, [&]() -> Status {
    if (written && ::rename(beside.c_str(), request.path.c_str()) == 0) return ok();
    const int failed = errno;
    (void)::unlink(beside.c_str());
    return written ? errno_error(failed, "put " + request.path + " into place") : ok();
  });
  if (!written) return std::move(written).error().in("export " + printable(request.image));
  HF_TRY(placed);
  outcome.path = request.path;
  outcome.bytes = *written;
  return add_items(wanted, outcome);
}

Result<api::ImageJob> ImageDesk::import_images(const api::ImageImportRequest& request,
                                               const std::string& actor, os::FileUser user) {
  HF_TRY(absolute(request.path));
  HF_ASSIGN(const auto until, lease_end(request.until));
  return start("import", actor,
               [this, request, until, actor, user = std::move(user)](Outcome& outcome,
                                                                     const std::stop_token& stop) {
                 return do_import(request, until, actor, user, outcome, stop);
               });
}

Status ImageDesk::do_import(const api::ImageImportRequest& request, WallTime until,
                            const std::string& actor, const os::FileUser& user, Outcome& outcome,
                            const std::stop_token& stop) {
  outcome.path = request.path;
  os::UniqueFd file;
  HF_TRY(os::as_user(user, [&]() -> Status {
    HF_ASSIGN(file, os::open_file(request.path, O_RDONLY | O_NONBLOCK));
    return ok();
  }));
  const auto done =
      parts_.archives.import_archive(file, request.reference, until, actor, sink(), stop);
  if (!done) return Error{done.error()}.in(printable(request.path));
  for (const auto& skipped : done->skipped)
    log::warn("event=image_not_imported reason={}", log::field(skipped));
  outcome.bytes = 0;
  if (const off_t size = ::lseek(file.get(), 0, SEEK_END); size > 0)
    outcome.bytes = static_cast<std::uint64_t>(size);
  parts_.engine.images_changed("", actor);
  return add_items({done->images.begin(), done->images.end()}, outcome);
}

Result<api::ImageJob> ImageDesk::gc(const std::string& actor) {
  return start("gc", actor, [this, actor](Outcome& outcome, const std::stop_token& stop) {
    return do_gc(actor, outcome, stop);
  });
}

Status ImageDesk::do_gc(const std::string& actor, Outcome& outcome, const std::stop_token& stop) {
  HF_ASSIGN(const auto done, parts_.care.collect_unneeded(stop));
  outcome.bytes = done.bytes;
  outcome.gc = report_of(done, false);
  std::map<std::string, std::uint64_t> kinds;
  for (const auto& each : done.remove) ++kinds[each.kind];
  if (!done.remove.empty())
    parts_.engine.images_changed(
        fmt::format("{} images, {} layers, {} blobs, {} bytes", kinds["image"],
                    kinds["layer"] + kinds["replaced"], kinds["blob"], done.bytes),
        actor);
  return ok();
}

Result<std::vector<api::ImageItem>> ImageDesk::list() {
  HF_ASSIGN(const auto all, parts_.care.inventory());
  std::vector<api::ImageItem> items;
  for (const auto& info : all) items.push_back(item_of(info));
  return items;
}

Result<api::ImageGcReport> ImageDesk::gc_plan() {
  HF_ASSIGN(const auto plan, parts_.care.plan_collection());
  return report_of(plan, true);
}

bool ImageDesk::look(std::function<void()> look) {
  return looks_.start([look = std::move(look)](const std::stop_token&) { look(); });
}

void ImageDesk::tick() {
  const std::lock_guard lock{mutex_};
  if (!queue_.empty() || scrub_ || parts_.clock.boot() < next_scrub_) return;
  scrub_.emplace();
  if (!work_.start([this](const std::stop_token& stop) { scrub(stop); })) scrub_.reset();
}

/// Fetches again what is known to be damaged. What was repaired is told to the engine.
Status ImageDesk::repair_known(const std::stop_token& stop) {
  if (!parts_.engine.snapshot()->repair_layers) return ok();
  HF_ASSIGN(const auto all, parts_.care.inventory());
  std::vector<image::ImageInfo> damaged;
  std::copy_if(all.begin(), all.end(), std::back_inserter(damaged),
               [](const auto& info) { return !info.damage.empty(); });
  if (damaged.empty()) return ok();
  Outcome outcome{.job = 0, .operation = "repair"};
  auto done = repair(damaged, outcome, stop);
  if (!outcome.repaired.empty()) parts_.engine.images_changed("", "agent");
  return done;
}

/// Hashes layers until none is due. Whether damage was found.
Result<bool> ImageDesk::scrub_layers(const std::stop_token& stop) {
  const image::Budget budget{.bytes_per_second = scrub_config_.bandwidth.value()};
  bool found = false;
  while (scrub_config_.every > Milliseconds{0} && !stop.stop_requested()) {
    HF_ASSIGN(const auto one, parts_.care.scrub_one(scrub_config_.every, budget, stop));
    if (!one) {
      const auto now = parts_.clock.wall().time_since_epoch();
      const std::lock_guard lock{mutex_};
      figures_.scrub_completed = std::chrono::duration<double>(now).count();
      break;
    }
    count(*one);
    if (one->damaged.empty()) continue;
    found = true;
    const std::lock_guard lock{mutex_};
    figures_.damaged_images += one->damaged.size();
  }
  return found;
}

/// Repairs what is known to be damaged, then looks for more.
void ImageDesk::scrub(const std::stop_token& stop) {
  std::stop_source ours;
  {
    const std::lock_guard lock{mutex_};
    ours = *scrub_;
  }
  const std::stop_callback outer{stop, [&] { ours.request_stop(); }};
  const auto repaired = repair_known(ours.get_token());
  const auto found = scrub_layers(ours.get_token());
  const bool damage = found && *found;
  if (damage) parts_.engine.images_changed("", "agent");
  const auto warn = [](const char* what, const Error& error) {
    if (error.code() != Errc::cancelled)
      log::warn("event={} error={}", what, log::field(error.to_string()));
  };
  if (!repaired) warn("repair_pending", repaired.error());
  if (!found) warn("scrub_failed", found.error());
  const std::lock_guard lock{mutex_};
  scrub_.reset();
  if (damage || repaired) failed_repairs_ = 0;
  std::chrono::seconds wait = kLookAgain;
  if (damage) {
    wait = std::chrono::seconds{0};  // to repair it
  } else if (!repaired) {
    wait = std::min(wait, kFirstRepair * (1U << std::min(failed_repairs_++, 5U)));
  }
  next_scrub_ = parts_.clock.boot() + wait;
}

void ImageDesk::fill(DaemonFigures& figures) const {
  const std::lock_guard lock{mutex_};
  figures.images = figures_;
}

void ImageDesk::stop() {
  looks_.stop();
  work_.stop();
}

}  // namespace holdfast::agent::daemon
