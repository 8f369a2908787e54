// Routes of the image store. What takes longer is a job of its upkeep, and its end an event.
#include <fmt/format.h>

#include "agent/daemon/api_call.hpp"
#include "proto/api/codec.hpp"

namespace holdfast::agent::daemon {
namespace {

namespace api = proto::api;
using deploy::image::Upkeep;

/// The body as a request; answers itself when it is none.
template <class T>
std::optional<T> read(const ExchangePtr& exchange) {
  auto request = api::decode<T>(exchange->request().body);
  if (request) return std::move(request).value();
  exchange->respond(std::move(request).error().in("request body"));
  return std::nullopt;
}

/// Files belong to who asks, not to the agent.
os::FileUser file_user(const Peer& peer) {
  return {.uid = peer.uid,
          .gid = peer.groups.empty() ? static_cast<gid_t>(-1) : peer.groups.front(),
          .groups = peer.groups};
}

}  // namespace

template <class Begin>
void Api::image_job(const Call& call, Begin begin) {
  const auto last_event = parts_.engine.events().last();
  Result<api::ImageJob> job = begin(parts_.images);
  if (!job) return call.exchange->respond(job.error());
  job->since_event = last_event;
  call.exchange->respond(Response{202, "application/json", api::encode(*job), ""});
}

template <class T>
void Api::look_at_images(const Call& call, Result<T> (deploy::image::Upkeep::*question)()) {
  const bool begun = image_looks_.start(
      [&upkeep = parts_.images, exchange = call.exchange, question](const std::stop_token&) {
        const auto found = (upkeep.*question)();
        if (!found) return exchange->respond(found.error());
        exchange->respond(Response{200, "application/json", api::encode(*found), ""});
      });
  if (!begun)
    call.exchange->respond(
        Error{Errc::busy, "too many requests look at the images"}.hint("try again"));
}

void Api::images(const Call& call) { look_at_images(call, &Upkeep::list); }

void Api::image_pull(const Call& call) {
  const auto request = read<api::ImagePullRequest>(call.exchange);
  if (!request) return;
  image_job(call, [&](Upkeep& upkeep) { return upkeep.pull(*request, call.actor()); });
}

void Api::image_verify(const Call& call) {
  const auto request = read<api::ImageVerifyRequest>(call.exchange);
  if (!request) return;
  if (request->repair && access_.role_of(*call.request().peer) < Role::deploy)
    return call.exchange->respond(
        Error{Errc::perm,
              fmt::format("{} may not repair images: that needs the role deploy", call.actor())}
            .hint("leave out --repair, or join the group that agent.yaml names for the role"));
  image_job(call, [&](Upkeep& upkeep) { return upkeep.verify(*request, call.actor()); });
}

void Api::image_gc(const Call& call) {
  const auto request = read<api::ImageGcRequest>(call.exchange);
  if (!request) return;
  if (request->dry_run) return look_at_images(call, &Upkeep::gc_plan);
  image_job(call, [&](Upkeep& upkeep) { return upkeep.gc(call.actor()); });
}

void Api::image_export(const Call& call) {
  const auto request = read<api::ImageExportRequest>(call.exchange);
  if (!request) return;
  image_job(call, [&](Upkeep& upkeep) {
    return upkeep.export_image(*request, call.actor(), file_user(*call.request().peer));
  });
}

void Api::image_import(const Call& call) {
  const auto request = read<api::ImageImportRequest>(call.exchange);
  if (!request) return;
  image_job(call, [&](Upkeep& upkeep) {
    return upkeep.import_images(*request, call.actor(), file_user(*call.request().peer));
  });
}

}  // namespace holdfast::agent::daemon
