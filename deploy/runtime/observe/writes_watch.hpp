#pragma once
/// \file
/// Looks, on a thread of its own, at what instances with a writable root have written below it: a
/// tree of theirs may be large, deep, or on a slow disk, and the engine must not wait for it.

#include <condition_variable>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "common/base/clock.hpp"
#include "deploy/runtime/record/record.hpp"

namespace holdfast::deploy::runtime {

/// Thread safe. The thread lives from the first question on.
class WritesWatch {
 public:
  /// Called on the thread of the walk when what is known of an instance has changed.
  using Changed = std::function<void(const plan::InstanceId&)>;

  WritesWatch() = default;
  ~WritesWatch();
  WritesWatch(const WritesWatch&) = delete;
  WritesWatch& operator=(const WritesWatch&) = delete;

  void on_change(Changed changed);
  /// Asks for a walk over `upper`; what lies in `known` (a file of lines) is ours. Asked again
  /// while the first waits: one walk.
  void ask(const plan::InstanceId& id, std::filesystem::path upper, std::filesystem::path known);
  /// What the last walk found, in words; empty for nothing and for no walk yet.
  [[nodiscard]] std::string found(const plan::InstanceId& id);
  /// True when no walk is under way; waits for that at most so long.
  bool settle(Milliseconds at_most);
  void forget(const plan::InstanceId& id);

 private:
  struct Question {
    plan::InstanceId id;
    std::filesystem::path upper;
    std::filesystem::path known;
  };
  void loop(const std::stop_token& stop);
  void answer(const Question& question, const std::stop_token& stop);

  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::deque<Question> questions_;
  bool walking_ = false;
  std::map<plan::InstanceId, std::string> found_;
  Changed changed_;
  std::jthread thread_;
};

}  // namespace holdfast::deploy::runtime
