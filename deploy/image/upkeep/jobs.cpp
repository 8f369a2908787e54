// What people ask for, as it runs on the threads of the jobs.
#include <fmt/format.h>
#include <unistd.h>

#include "common/base/text.hpp"
#include "common/log/log.hpp"
#include "deploy/image/upkeep/repair.hpp"
#include "deploy/image/upkeep/selection.hpp"
#include "deploy/image/upkeep/upkeep.hpp"
#include "deploy/image/upkeep/user_file.hpp"
#include "deploy/image/upkeep/views.hpp"
#include "proto/image_ref.hpp"

namespace holdfast::deploy::image {
namespace {

namespace api = proto::api;

Status absolute(const std::string& path) {
  if (path.starts_with('/')) return ok();
  return Error{Errc::usage, fmt::format("path: \"{}\" is not absolute", printable(path))};
}

}  // namespace

Status Upkeep::add_items(const Digests& digests, Outcome& outcome) {
  HF_ASSIGN(const auto all, parts_.care.inventory());
  for (const auto& info : all) {
    if (digests.contains(info.pinned)) outcome.images.push_back(item_of(info));
  }
  return ok();
}

Result<api::ImageJob> Upkeep::pull(const api::ImagePullRequest& request, const Actor& actor) {
  HF_ASSIGN(const auto ref, proto::ImageRef::parse(request.image));
  HF_ASSIGN(const auto until, lease_end(request.until, parts_.clock.wall()));
  return start(Lane::network, "pull", actor,
               [this, ref, until, actor](Outcome& outcome, const std::stop_token& stop) {
                 return do_pull(ref, until, actor, outcome, stop);
               });
}

Status Upkeep::do_pull(const proto::ImageRef& ref, WallTime until, const Actor& actor,
                       Outcome& outcome, const std::stop_token& stop) {
  // Before the image is there, so that no collection takes it in between.
  HF_TRY(parts_.care.lease(ref.digest, until, actor));
  begin_to_fetch();
  HF_ASSIGN(const auto pulled, parts_.images.ensure({ref, {}}, sink(), stop));
  outcome.bytes = pulled.stats.bytes_fetched;
  parts_.listener.images_changed("", actor);
  return add_items({ref.digest}, outcome);
}

Result<api::ImageJob> Upkeep::verify(const api::ImageVerifyRequest& request, const Actor& actor) {
  return start(request.repair ? Lane::network : Lane::store, "verify", actor,
               [this, request, actor](Outcome& outcome, const std::stop_token& stop) {
                 return do_verify(request, actor, outcome, stop);
               });
}

Status Upkeep::do_verify(const api::ImageVerifyRequest& request, const Actor& actor,
                         Outcome& outcome, const std::stop_token& stop) {
  HF_ASSIGN(const auto before, parts_.care.inventory());
  HF_ASSIGN(auto wanted, select_images(request.images, before));
  HF_ASSIGN(const auto sum, parts_.care.verify(wanted, {}, sink(), stop));
  count(sum);
  outcome.bytes = sum.bytes;
  if (!sum.damaged.empty()) {
    const std::lock_guard lock{mutex_};
    figures_.damaged_images += sum.damaged.size();
    schedule_.damage_found();  // it repairs what is not repaired below
  }
  parts_.listener.images_changed("", actor);
  HF_ASSIGN(const auto all, parts_.care.inventory());
  const auto damaged = damaged_of(all, wanted);
  Status repaired = ok();
  if (request.repair && !damaged.empty()) {
    begin_to_fetch();
    auto done = repair_images(parts_.images, damaged, sink(), stop);
    for (const auto& digest : done.images) outcome.repaired.push_back(digest.str());
    repaired = std::move(done.first_failure);
    parts_.listener.images_changed("", actor);
  }
  if (wanted.empty()) {
    for (const auto& info : all) wanted.insert(info.pinned);
  }
  HF_TRY(add_items(wanted, outcome));
  return repaired;
}

Result<api::ImageJob> Upkeep::gc(const Actor& actor) {
  return start(Lane::store, "gc", actor,
               [this, actor](Outcome& outcome, const std::stop_token& stop) {
                 return do_gc(actor, outcome, stop);
               });
}

Status Upkeep::do_gc(const Actor& actor, Outcome& outcome, const std::stop_token& stop) {
  HF_ASSIGN(const auto done, parts_.care.collect_unneeded(stop));
  outcome.bytes = done.bytes;
  outcome.gc = report_of(done);
  if (const auto collected = collected_text(done); !collected.empty())
    parts_.listener.images_changed(collected, actor);
  return ok();
}

Result<api::ImageJob> Upkeep::export_image(const api::ImageExportRequest& request,
                                           const Actor& actor, os::FileUser user) {
  HF_TRY(absolute(request.path));
  return start(
      Lane::store, "export", actor,
      [this, request, user = std::move(user)](Outcome& outcome, const std::stop_token& stop) {
        return do_export(request, user, outcome, stop);
      });
}

Status Upkeep::do_export(const api::ImageExportRequest& request, const os::FileUser& user,
                         Outcome& outcome, const std::stop_token& stop) {
  HF_ASSIGN(const auto all, parts_.care.inventory());
  HF_ASSIGN(const auto wanted, select_images({request.image}, all));
  HF_ASSIGN(auto file, NewFile::create(user, request.path, fmt::format(".part-{}", outcome.job)));
  auto written = parts_.archives.export_archive(*wanted.begin(), file.fd(), sink(), stop);
  if (!written) return std::move(written).error().in("export " + printable(request.image));
  HF_TRY(file.place());
  outcome.path = request.path;
  outcome.bytes = *written;
  return add_items(wanted, outcome);
}

Result<api::ImageJob> Upkeep::import_images(const api::ImageImportRequest& request,
                                            const Actor& actor, os::FileUser user) {
  HF_TRY(absolute(request.path));
  HF_ASSIGN(const auto until, lease_end(request.until, parts_.clock.wall()));
  Import import{.request = request, .until = until, .actor = actor, .user = std::move(user)};
  return start(Lane::store, "import", actor,
               [this, import = std::move(import)](Outcome& outcome, const std::stop_token& stop) {
                 return do_import(import, outcome, stop);
               });
}

Status Upkeep::do_import(const Import& import, Outcome& outcome, const std::stop_token& stop) {
  const auto& request = import.request;
  outcome.path = request.path;
  HF_ASSIGN(const auto file, open_as(import.user, request.path));
  const auto done = parts_.archives.import_archive(file, request.reference, import.until,
                                                   import.actor, sink(), stop);
  if (!done) return Error{done.error()}.in(printable(request.path));
  for (const auto& skipped : done->skipped)
    log::warn("event=image_not_imported reason={}", log::field(skipped));
  if (const off_t size = ::lseek(file.get(), 0, SEEK_END); size > 0)
    outcome.bytes = static_cast<std::uint64_t>(size);
  parts_.listener.images_changed("", import.actor);
  return add_items({done->images.begin(), done->images.end()}, outcome);
}

}  // namespace holdfast::deploy::image
