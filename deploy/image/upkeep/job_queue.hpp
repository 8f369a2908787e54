#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <string>

#include "common/base/result.hpp"

namespace holdfast::deploy::image {

/// What a job works with. Those of one lane wait for each other, and for none of the other.
enum class Lane : std::uint8_t {
  store,   ///< this disk only
  network  ///< also a registry, which may take its time
};

/// Who works on the image store and who waits: one of a lane at a time, in the order in which they
/// came, at most eight waiting. Not thread safe.
class JobQueue {
 public:
  struct Place {
    std::uint64_t number = 0;  ///< of the job, from 1, in all lanes
    std::string waits_for;     ///< "verify of root (uid 0)", the one that runs; empty: nobody
  };
  /// Errors: busy.
  [[nodiscard]] Result<Place> join(Lane lane, const std::string& operation,
                                   const std::string& actor);
  /// The first one has ended.
  void leave(Lane lane) { jobs_of(lane).pop_front(); }
  [[nodiscard]] bool empty(Lane lane) const {
    return jobs_[static_cast<std::size_t>(lane)].empty();
  }

 private:
  using Jobs = std::deque<std::string>;  ///< the running one first
  Jobs& jobs_of(Lane lane) { return jobs_[static_cast<std::size_t>(lane)]; }

  std::uint64_t next_ = 1;
  std::array<Jobs, 2> jobs_;
};

}  // namespace holdfast::deploy::image
