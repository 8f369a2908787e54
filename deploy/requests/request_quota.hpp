#pragma once
#include <array>
#include <cstddef>
#include <map>
#include <mutex>
#include <string>

#include "common/base/result.hpp"
#include "deploy/requests/actor.hpp"

namespace holdfast::deploy::requests {

/// How many requests of a kind may wait or run at once, in all and of one actor. Root has places of
/// its own, so that others cannot take them all, and each role finds what is kept for it. Thread
/// safe.
class RequestQuota {
 public:
  using Role = Actor::Role;
  struct Limits {
    std::size_t all = 8;
    std::size_t of_one_actor = 2;
    std::size_t kept_for_each_role = 0;  ///< of `all`
    std::size_t of_root = 0;             ///< besides `all`; 0: as of another actor
  };
  /// `what` names the requests: "plans".
  RequestQuota(std::string what, Limits limits) : what_(std::move(what)), limits_(limits) {}

  /// Takes a place. Errors: busy, with the next step.
  [[nodiscard]] Status take(const Actor& actor);
  void give_back(const Actor& actor);

 private:
  [[nodiscard]] bool has_room(Role role) const;

  std::string what_;
  Limits limits_;
  std::mutex mutex_;
  std::map<std::string, std::size_t> taken_;
  std::array<std::size_t, proto::api::kRoleNames.size()> by_role_{};
  std::size_t all_ = 0;
};

}  // namespace holdfast::deploy::requests
