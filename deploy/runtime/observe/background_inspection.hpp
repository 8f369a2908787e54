#pragma once
/// \file
/// Inspects, on a thread of its own, what the engine must not wait for: trees that containers wrote
/// (large, deep, or on a slow disk) and files of the host that may lie on a network file system.

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "common/base/clock.hpp"
#include "deploy/plan/model/state.hpp"

namespace holdfast::deploy::runtime {

/// Thread safe. The thread lives from the first question on.
class BackgroundInspection {
 public:
  /// What differs, in words; empty for nothing; none: no answer, as what it is about is gone.
  using Work = std::function<std::optional<std::string>(const std::stop_token&)>;
  /// Called on the thread of the work when what is known of an instance has changed.
  using Changed = std::function<void(const plan::InstanceId&)>;

  /// `thread`: its name, at most 15 characters.
  explicit BackgroundInspection(const char* thread) : thread_name_(thread) {}
  ~BackgroundInspection();
  BackgroundInspection(const BackgroundInspection&) = delete;
  BackgroundInspection& operator=(const BackgroundInspection&) = delete;

  void on_change(Changed changed);
  /// Asks for `work` about the process that was started for the `starts`th time. Asked again about
  /// the same one while the first question waits: done once, as asked last.
  void ask(const plan::InstanceId& id, std::uint32_t starts, Work work);
  /// The last answer about that process; empty for nothing and for no answer yet.
  [[nodiscard]] std::string found(const plan::InstanceId& id, std::uint32_t starts);
  void forget(const plan::InstanceId& id);

 private:
  struct Question {
    plan::InstanceId id;
    std::uint32_t starts = 0;
    Work work;
  };
  struct Answer {
    std::uint32_t starts = 0;
    std::string text;
  };
  void loop(const std::stop_token& stop);
  void answer(const Question& question, const std::stop_token& stop);

  const char* const thread_name_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::deque<Question> questions_;
  std::map<plan::InstanceId, Answer> found_;
  Changed changed_;
  std::jthread thread_;
};

}  // namespace holdfast::deploy::runtime
