// Routes of the image store. What takes longer is a job of the ImageDesk, and its end an event.
#include <fmt/format.h>

#include "agent/daemon/api_call.hpp"
#include "proto/api/codec.hpp"

namespace holdfast::agent::daemon {
namespace {

namespace api = proto::api;

/// The body as a request; answers itself when it is none.
template <class T>
std::optional<T> read(const ExchangePtr& exchange) {
  auto request = api::decode<T>(exchange->request().body);
  if (request) return std::move(request).value();
  exchange->respond(std::move(request).error().in("request body"));
  return std::nullopt;
}

void answer(const ExchangePtr& exchange, const Result<api::ImageJob>& job) {
  if (!job) return exchange->respond(job.error());
  exchange->respond(Response{202, "application/json", api::encode(*job), ""});
}

/// Files belong to who asks, not to the agent.
os::FileUser file_user(const Peer& peer) {
  return {.uid = peer.uid,
          .gid = peer.groups.empty() ? static_cast<gid_t>(-1) : peer.groups.front(),
          .groups = peer.groups};
}

/// Asks the disk, on a thread that may wait for it.
template <class T>
void look(ImageDesk& desk, const ExchangePtr& exchange, Result<T> (ImageDesk::*question)()) {
  const bool begun = desk.look([&desk, exchange, question] {
    const auto found = (desk.*question)();
    if (!found) return exchange->respond(found.error());
    exchange->respond(Response{200, "application/json", api::encode(*found), ""});
  });
  if (!begun)
    exchange->respond(Error{Errc::busy, "too many requests look at the images"}.hint("try again"));
}

}  // namespace

void Api::images(const Call& call) { look(parts_.images, call.exchange, &ImageDesk::list); }

void Api::image_pull(const Call& call) {
  const auto request = read<api::ImagePullRequest>(call.exchange);
  if (request) answer(call.exchange, parts_.images.pull(*request, call.actor()));
}

void Api::image_verify(const Call& call) {
  const auto request = read<api::ImageVerifyRequest>(call.exchange);
  if (!request) return;
  if (request->repair && access_.role_of(*call.request().peer) < Role::deploy)
    return call.exchange->respond(
        Error{Errc::perm,
              fmt::format("{} may not repair images: that needs the role deploy", call.actor())}
            .hint("leave out --repair, or join the group that agent.yaml names for the role"));
  answer(call.exchange, parts_.images.verify(*request, call.actor()));
}

void Api::image_gc(const Call& call) {
  const auto request = read<api::ImageGcRequest>(call.exchange);
  if (!request) return;
  if (request->dry_run) return look(parts_.images, call.exchange, &ImageDesk::gc_plan);
  answer(call.exchange, parts_.images.gc(call.actor()));
}

void Api::image_export(const Call& call) {
  const auto request = read<api::ImageExportRequest>(call.exchange);
  if (request)
    answer(call.exchange,
           parts_.images.export_image(*request, call.actor(), file_user(*call.request().peer)));
}

void Api::image_import(const Call& call) {
  const auto request = read<api::ImageImportRequest>(call.exchange);
  if (request)
    answer(call.exchange,
           parts_.images.import_images(*request, call.actor(), file_user(*call.request().peer)));
}

}  // namespace holdfast::agent::daemon
