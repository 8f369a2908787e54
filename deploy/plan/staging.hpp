#pragma once
/// \file
/// Whose fault it is that an image is not here. Pure.

#include <chrono>

#include "common/base/error.hpp"
#include "deploy/plan/model/state.hpp"

namespace holdfast::deploy::plan {

/// Somebody waits for an `apply`: after this time without its images it fails. A source's rollout
/// goes on for ever, as nobody would offer its document again; a newer one supersedes it.
inline constexpr std::chrono::hours kStagingDeadline{1};
/// And after so many failed tries of one image: 1, 2, 4 and 8 s apart.
inline constexpr std::uint32_t kApplyPullTries = 4;

enum class StagingFault : std::uint8_t {
  document,  ///< bytes that match its digests prove that it cannot run here: now or at any time
  passing,   ///< a registry, a mirror, a proxy, the network or this host: another try may work
};

/// By where the proof comes from. The codes that deploy/image gives only for what verified bytes
/// say (images.hpp) are the document's fault; whatever somebody on the way to the bytes may have
/// caused is not, however often it happens.
[[nodiscard]] StagingFault staging_fault(Errc code);

/// Whether making or starting a container is not tried again: three times, or by what it was.
[[nodiscard]] bool is_final(const JobFailure& job);

/// Why a container could not be made or started. What this host lacks (Errc::host) is not the
/// document's fault: applied again, it may work.
[[nodiscard]] Failure start_failure(const ServiceName& name, const Error& error);

/// The rollout under way has started nothing yet and is no rollback: a newer document, or what
/// runs, applied again, takes its place.
[[nodiscard]] bool gives_way(const Progress& progress);

}  // namespace holdfast::deploy::plan
