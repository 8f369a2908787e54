#include "deploy/image/archive/import.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>

#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "deploy/fetch/fetcher.hpp"
#include "deploy/image/pull/archive_child.hpp"
#include "deploy/image/pull/pull.hpp"
#include "deploy/image/store/lease_file.hpp"
#include "deploy/image/store/records.hpp"
#include "proto/oci/oci.hpp"

namespace holdfast::deploy::image {
namespace {

constexpr std::size_t kMostImages = 64;

Status check_file(const os::UniqueFd& file) {
  struct stat info {};
  if (fstat(file.get(), &info) != 0) return errno_error(errno, "stat the archive");
  if (S_ISREG(info.st_mode)) return ok();
  return Error{Errc::usage, "the archive must be a regular file"}.hint(
      "write it to a file first: it is read in more than one place at once");
}

Result<std::vector<proto::oci::LayoutEntry>> entries_of(Store& store,
                                                        const ImportRequest& request) {
  fetch::Fetcher fetcher{archive_child(store.worker_path, request.file.get())};
  HF_ASSIGN(const auto document, fetcher.document(ObjectRequests::layout(), request.stop));
  return proto::oci::parse_layout(document.bytes);
}

/// The reference to remember: what was asked for, else what the archive says, if that names an
/// image at all ("registry.example.com/shop/web:1.8.2"; a bare tag does not).
std::string reference_of(const std::string& asked, const proto::oci::LayoutEntry& entry) {
  for (const auto& name : {asked, entry.name}) {
    if (name.find('/') == std::string::npos) continue;
    const auto at = name.find('@');
    const auto ref = proto::ImageRef::parse(name.substr(0, at) + "@" + entry.image.digest.str());
    if (ref) return ref->str();
  }
  return {};
}

/// What an image that is here already is called: an archive without names takes none away.
std::string known_reference(const Store& store, const proto::Digest& digest) {
  const auto text = os::read_regular_file(store.paths.image(digest));
  if (!text) return {};
  const auto record = decode_image_record(*text);
  return record ? record->reference : std::string{};
}

Status import_one(Store& store, const ImportRequest& request, const std::string& reference,
                  const proto::Digest& digest) {
  // A pull needs a name for its messages; what has none is called by its digest.
  const auto named = proto::ImageRef::parse(
      reference.empty() ? "archive.invalid/image@" + digest.str() : reference);
  if (!named) return named.error();
  HF_TRY(write_lease(store.paths, {digest, request.until, request.by}));
  Leases::Lease lease{store.leases};
  lease.hold("image:" + digest.hex());
  return store.flights.join("image:" + digest.hex(), request.stop, [&]() -> Status {
    Pull pull{store, *named, request.progress, request.stop,
              PullFrom{.archive = request.file.get(), .reference = reference}};
    HF_ASSIGN(const auto stats, pull.run());
    (void)stats;
    return ok();
  });
}

}  // namespace

Result<Imported> import_images(Store& store, const ImportRequest& request) {
  HF_TRY(check_file(request.file));
  HF_ASSIGN(const auto entries, entries_of(store, request));
  if (entries.size() > kMostImages)
    return Error{Errc::too_large, fmt::format("the archive lists {} images, at most {} are taken",
                                              entries.size(), kMostImages)};
  Imported done;
  std::set<proto::Digest> seen;
  std::optional<Error> foreign;
  for (const auto& entry : entries) {
    if (!seen.insert(entry.image.digest).second) continue;
    auto reference = reference_of(entries.size() == 1 ? request.reference : "", entry);
    if (reference.empty()) reference = known_reference(store, entry.image.digest);
    auto taken = import_one(store, request, reference, entry.image.digest);
    if (taken) {
      done.images.push_back(entry.image.digest);
      continue;
    }
    auto error = std::move(taken).error().in("import " + entry.image.digest.short_hex());
    if (error.code() != Errc::platform && error.code() != Errc::media_type) return error;
    done.skipped.push_back(error.what());
    if (!foreign) foreign = std::move(error);
  }
  if (done.images.empty() && foreign) return *std::move(foreign);
  if (done.images.empty()) return Error{Errc::usage, "the archive lists no image"};
  return done;
}

}  // namespace holdfast::deploy::image
