#pragma once
#include <functional>
#include <string>
#include <vector>

#include "deploy/engine/state/parts.hpp"

namespace holdfast::deploy::engine {

/// Tells who waits for a change how it ended, or that it waits: events with a result. Engine thread
/// only.
class Announcer {
 public:
  /// `services` tells how each service stands now.
  Announcer(Parts& parts, std::function<std::vector<proto::api::ServiceStatus>()> services)
      : parts_(parts), services_(std::move(services)) {}

  /// How a rollout ended.
  void result(const plan::Rollout& rollout);
  /// That another document took its place while its images were fetched. Nothing of one that
  /// waited: who applied that was told so.
  void superseded(const plan::Rollout& rollout);
  /// That the rollout under way will not begin yet. Nothing when it does not wait.
  void wait();
  /// The verdict of the last rehearsal.
  void rehearsal(const proto::api::RehearsalStatus& verdict);

 private:
  enum class Ended : std::uint8_t { arrived, went_back };
  void result(GenerationId id, proto::api::OutcomeResult word, const plan::Rollout& rollout,
              Ended ended);
  [[nodiscard]] std::string next_step(const plan::Failure& failure) const;
  [[nodiscard]] std::string failure_detail(const std::string& outcome,
                                           const plan::Failure& failure) const;
  [[nodiscard]] proto::api::Outcome outcome(GenerationId id, proto::api::OutcomeResult word,
                                            const plan::Rollout& rollout) const;
  void publish(const proto::api::Outcome& outcome, std::string detail);

  Parts& parts_;
  std::function<std::vector<proto::api::ServiceStatus>()> services_;
};

}  // namespace holdfast::deploy::engine
