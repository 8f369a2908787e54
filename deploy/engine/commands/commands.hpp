#pragma once
#include <functional>
#include <vector>

#include "deploy/engine/commands/announcer.hpp"
#include "deploy/engine/commands/applies.hpp"
#include "deploy/engine/commands/holds_and_quarantine.hpp"
#include "deploy/engine/commands/rehearsals.hpp"
#include "deploy/engine/commands/rollbacks.hpp"
#include "deploy/engine/commands/services.hpp"
#include "deploy/engine/commands/shutdown.hpp"
#include "deploy/engine/commands/sources.hpp"
#include "deploy/engine/commands/standby.hpp"

namespace holdfast::deploy::engine {

/// What people and sources can ask of the engine.
struct Commands {
  Commands(Parts& parts, std::function<std::vector<proto::api::ServiceStatus>()> statuses)
      : rollbacks(parts),
        announcer(parts, std::move(statuses)),
        applies(parts, rollbacks, announcer),
        sources(parts, applies),
        holds(parts),
        rehearsals(parts, rollbacks, announcer),
        standby(parts),
        services(parts),
        shutdown(parts) {}

  Rollbacks rollbacks;
  Announcer announcer;
  Applies applies;
  Sources sources;
  HoldsAndQuarantine holds;
  Rehearsals rehearsals;
  Standby standby;
  ServiceCommands services;
  Shutdown shutdown;
};

}  // namespace holdfast::deploy::engine
