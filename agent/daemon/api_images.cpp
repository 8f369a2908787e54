// Handlers of the image store. What takes longer is a job of its upkeep, and its end an event.
#include <fmt/format.h>

#include "agent/daemon/api.hpp"

namespace holdfast::agent::daemon {
namespace {

using deploy::image::Upkeep;

/// Files belong to who asks, not to the agent.
os::FileUser file_user(const Peer& peer) {
  return {.uid = peer.uid,
          .gid = peer.groups.empty() ? static_cast<gid_t>(-1) : peer.groups.front(),
          .groups = peer.groups};
}

}  // namespace

template <class Operation, class Begin>
void Api::image_job(const Call<Operation>& call, Begin begin) {
  const auto last_event = parts_.engine.events().last();
  Result<proto::api::ImageJob> job = begin(parts_.images);
  if (job) job->since_event = last_event;
  call.answer(job);
}

template <class Operation, class T>
void Api::look_at_images(const Call<Operation>& call, Result<T> (Upkeep::*question)()) {
  auto begun = image_looks_.start(call.request(), call.role,
                                  [&upkeep = parts_.images, answer = call.answer, question](
                                      const std::stop_token&) { answer((upkeep.*question)()); });
  if (!begun) call.answer(std::move(begun).error());
}

void Api::handle(const CallOf<"images">& call) { look_at_images(call, &Upkeep::list); }

void Api::handle(const CallOf<"image_pull">& call) {
  image_job(call, [&](Upkeep& upkeep) { return upkeep.pull(call.asked, call.actor()); });
}

void Api::handle(const CallOf<"image_verify">& call) {
  if (call.asked.repair && call.role < Role::deploy)
    return call.answer(
        Error{Errc::perm, fmt::format("{} may not repair images: that needs the role deploy",
                                      call.actor().name)}
            .hint("leave out --repair, or join the group that agent.yaml names for the role"));
  image_job(call, [&](Upkeep& upkeep) { return upkeep.verify(call.asked, call.actor()); });
}

void Api::handle(const CallOf<"image_gc">& call) {
  if (call.asked.dry_run) return look_at_images(call, &Upkeep::gc_plan);
  image_job(call, [&](Upkeep& upkeep) { return upkeep.gc(call.actor()); });
}

void Api::handle(const CallOf<"image_export">& call) {
  image_job(call, [&](Upkeep& upkeep) {
    return upkeep.export_image(call.asked, call.actor(), file_user(*call.request().peer));
  });
}

void Api::handle(const CallOf<"image_import">& call) {
  image_job(call, [&](Upkeep& upkeep) {
    return upkeep.import_images(call.asked, call.actor(), file_user(*call.request().peer));
  });
}

}  // namespace holdfast::agent::daemon
