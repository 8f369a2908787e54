#pragma once
/// \file
/// The owners of state that the engine's commands and actions work on together.

#include <functional>
#include <optional>

#include "common/os/disk_space.hpp"
#include "deploy/engine/state/attention.hpp"
#include "deploy/engine/state/counters.hpp"
#include "deploy/engine/state/events.hpp"
#include "deploy/engine/state/evidence.hpp"
#include "deploy/engine/state/generations.hpp"
#include "deploy/engine/state/journal.hpp"
#include "deploy/engine/state/ports.hpp"
#include "deploy/engine/state/quarantine.hpp"

namespace holdfast::deploy::engine {

/// Instants of this life of the agent, in seconds since the epoch; 0: not yet.
struct Milestones {
  double last_change = 0;
  double source_last_success = 0;
};

/// Members are in the order in which they are built: each one knows only those above it. Engine
/// thread only, but for `events`.
struct Parts {
  Parts(Ports given, Options chosen, Jobs& pools)
      : ports(given),
        options(std::move(chosen)),
        jobs(pools),
        evidence(options.last_words, ports.clock, jobs, attention),
        generations(ports.ledger, jobs, attention),
        journal(ports.ledger, ports.clock, options.config.run_dir,
                {generations, quarantine, events, counters, attention}) {}

  Ports ports;
  Options options;
  Jobs& jobs;
  EventLog events;
  Counters counters;
  Attention attention;
  Milestones milestones;
  plan::Observed observed;            ///< as it was seen last
  std::optional<os::DiskSpace> disk;  ///< of state_dir, as the last resync found it
  Evidence evidence;
  Generations generations;
  Quarantine quarantine;
  Journal journal;
};

/// What failed before says nothing of what is asked for now.
void forget_failures(plan::Observed& observed);

/// Generations whose documents decisions need.
[[nodiscard]] std::set<GenerationId> generations_in_use(const plan::Progress& progress);

/// Reserves the host ports of what runs, of what a rollout comes from, and of `next` (may be null).
/// Errors: port_in_use, naming who has it.
[[nodiscard]] Status reserve_ports(Parts& parts, const proto::Deployment* next);

/// The generations whose documents and images stay: those in use, the ways back, and `target`.
[[nodiscard]] std::set<GenerationId> retained(const Parts& parts,
                                              std::optional<GenerationId> target);

/// Digests of the configs that the documents in memory of those generations name.
[[nodiscard]] std::set<proto::Digest> configs_in_use(const Parts& parts,
                                                     std::optional<GenerationId> target);

/// Which images must stay, and why, as people see it in `image list`: those of what runs, of the
/// generations that may be gone back to (`target`: by default), and of `next` (may be null), about
/// to be accepted. Forgets the documents of all other generations, and lets those that are not in
/// memory be read: until then their images are not among them.
[[nodiscard]] image::Holders holders(Parts& parts, std::optional<GenerationId> target,
                                     const proto::Deployment* next);

/// A plan but for the comparison of its documents, which takes the time that they take: any thread
/// may call it, once.
using UnfinishedPlan = std::function<proto::api::PlanReport()>;

/// Seconds since the epoch.
[[nodiscard]] double epoch_seconds(WallTime time);

}  // namespace holdfast::deploy::engine
