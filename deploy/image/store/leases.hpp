#pragma once
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "common/base/result.hpp"

namespace holdfast::deploy::image {

/// Names of layers and blobs that a running pull counts on, so that collection leaves them alone.
/// Thread safe.
class Leases {
 public:
  /// Holds names until its end.
  class Lease {
   public:
    explicit Lease(Leases& leases) : leases_(leases) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease();
    void hold(const std::string& name);

   private:
    Leases& leases_;
    std::vector<std::string> held_;
  };

  /// Names that stay until the next call, which replaces them.
  void retain(std::set<std::string> names);

  /// Runs `action` unless somebody holds the name; nobody can begin to hold it meanwhile.
  [[nodiscard]] Status unless_held(const std::string& name, const std::function<Status()>& action);

 private:
  std::mutex mutex_;
  std::map<std::string, int> counts_;
  std::set<std::string> retained_;
};

}  // namespace holdfast::deploy::image
