#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <string>

#include "common/base/result.hpp"
#include "deploy/requests/request_quota.hpp"

namespace holdfast::deploy::image {

/// What a job works with. Those of one lane wait for each other, and for none of the other.
enum class Lane : std::uint8_t {
  store,   ///< this disk only
  network  ///< also a registry, which may take its time
};

using requests::Actor;

/// Who works on the image store and who waits: one of a lane at a time, in the order in which they
/// came. Of an actor four, of all eight, one of these kept for each role, and nine of root's. Not
/// thread safe.
class JobQueue {
 public:
  struct Place {
    std::uint64_t number = 0;  ///< of the job, from 1, in all lanes
    std::string waits_for;     ///< "verify of root (uid 0)", the one that runs; empty: nobody
  };
  /// Errors: busy.
  [[nodiscard]] Result<Place> join(Lane lane, const std::string& operation, const Actor& actor);
  /// The first one has ended.
  void leave(Lane lane);
  [[nodiscard]] bool empty(Lane lane) const {
    return jobs_[static_cast<std::size_t>(lane)].empty();
  }

  /// Of a lane, whoever asks: root's besides those of all others.
  static constexpr std::size_t kMost = 17;

 private:
  struct Job {
    std::string words;  ///< "verify of root (uid 0)"
    Actor actor;
  };
  using Jobs = std::deque<Job>;  ///< the running one first
  Jobs& jobs_of(Lane lane) { return jobs_[static_cast<std::size_t>(lane)]; }

  std::uint64_t next_ = 1;
  std::array<Jobs, 2> jobs_;
  static constexpr requests::RequestQuota::Limits kPlaces{
      .all = 8, .of_one_actor = 4, .kept_for_each_role = 1, .of_root = 9};
  static_assert(kMost == kPlaces.all + kPlaces.of_root);
  std::array<requests::RequestQuota, 2> places_{
      requests::RequestQuota{"jobs on the image store", kPlaces},
      requests::RequestQuota{"jobs on the image store and a registry", kPlaces}};
};

}  // namespace holdfast::deploy::image
