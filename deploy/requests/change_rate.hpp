#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "deploy/requests/actor.hpp"

namespace holdfast::deploy::requests {

/// How often others than root and the host's source may have something recorded: each record is
/// kept for ever, and roles could fill the disk with them in an hour. Thread safe.
class ChangeRate {
 public:
  struct Limits {
    std::uint32_t of_one_actor = 60;  ///< a minute, and as many at once
    std::uint32_t of_a_role = 240;    ///< the same, of all its actors together
  };
  ChangeRate(Limits limits, const Clock& clock) : limits_(limits), clock_(clock) {}

  /// Counts one. Errors: rate_limited.
  [[nodiscard]] Status take(const Actor& actor);

 private:
  struct Bucket {
    double used = 0;
    BootTime at{};
  };
  /// What is left of earlier ones by now.
  void drain(Bucket& bucket, std::uint32_t per_minute, BootTime now) const;

  Limits limits_;
  const Clock& clock_;
  std::mutex mutex_;
  std::map<Actor::Role, Bucket> roles_;
  std::map<std::string, Bucket> actors_;  ///< those that have used something lately
};

}  // namespace holdfast::deploy::requests
