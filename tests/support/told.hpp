#pragma once
#include <atomic>
#include <memory>

namespace holdfast::test {

/// How often something was told. What is told to holds the count too: a watcher may outlive the
/// test that gave it. Thread safe.
class Told {
 public:
  void operator++() const { ++*count_; }
  void forget() const { *count_ = 0; }
  operator int() const { return *count_; }

 private:
  std::shared_ptr<std::atomic<int>> count_ = std::make_shared<std::atomic<int>>(0);
};

}  // namespace holdfast::test
