#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "deploy/desired/source.hpp"
#include "proto/api/messages.hpp"

namespace holdfast::deploy::desired {

/// How a source stands, from what its reads gave: a source that says nothing good for too long is a
/// fault, whoever is to blame. Pure; not thread safe.
class SourceHealth {
 public:
  /// `now` is the start of the agent: without a good answer the age counts from there.
  SourceHealth(std::string source, Milliseconds stale_after, BootTime now);

  /// After each read. True when it was refused for a reason that the read before did not have.
  bool take(const Result<Candidate>& read, WallTime now_wall, BootTime now);

  [[nodiscard]] proto::api::SourceStatus status(const std::optional<TrustFacts>& trust,
                                                WallTime now_wall, BootTime now) const;
  /// Refusals by code, for metrics.
  [[nodiscard]] const std::map<Errc, std::uint64_t>& refusals() const { return refusals_; }
  /// Failures since the last good answer, of whatever kind.
  [[nodiscard]] unsigned failures() const { return failures_; }

 private:
  [[nodiscard]] proto::Word<proto::api::SourceState> state(const std::optional<TrustFacts>& trust,
                                                           WallTime now_wall, BootTime now) const;

  std::string source_;
  Milliseconds stale_after_;
  BootTime good_at_;                   ///< or the start
  std::optional<WallTime> good_time_;  ///< for people
  std::optional<Error> failure_;       ///< of the last read
  std::optional<WallTime> failed_time_;
  unsigned failures_ = 0;
  std::map<Errc, std::uint64_t> refusals_;
};

/// Whether a read failed because of what the source has, and not because it cannot be read.
[[nodiscard]] bool is_refusal(Errc code);

}  // namespace holdfast::deploy::desired
