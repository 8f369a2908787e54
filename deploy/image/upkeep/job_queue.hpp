#pragma once
#include <cstdint>
#include <deque>
#include <string>

#include "common/base/result.hpp"

namespace holdfast::deploy::image {

/// Who works on the image store and who waits: one at a time, in the order in which they came, at
/// most eight waiting. Not thread safe.
class JobQueue {
 public:
  struct Place {
    std::uint64_t number = 0;  ///< of the job, from 1
    std::string waits_for;     ///< "verify of root (uid 0)", the one that runs; empty: nobody
  };
  /// Errors: busy.
  [[nodiscard]] Result<Place> join(const std::string& operation, const std::string& actor);
  /// The first one has ended.
  void leave() { jobs_.pop_front(); }
  [[nodiscard]] bool empty() const { return jobs_.empty(); }

 private:
  std::uint64_t next_ = 1;
  std::deque<std::string> jobs_;  ///< the running one first
};

}  // namespace holdfast::deploy::image
