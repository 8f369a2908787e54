#include "deploy/runtime/observe/background_inspection.hpp"

#include <algorithm>
#include <utility>

#include "common/os/process.hpp"

namespace holdfast::deploy::runtime {

BackgroundInspection::~BackgroundInspection() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void BackgroundInspection::on_change(Changed changed) {
  const std::lock_guard lock{mutex_};
  changed_ = std::move(changed);
}

void BackgroundInspection::ask(const plan::InstanceId& id, std::uint32_t starts, Work work) {
  const std::lock_guard lock{mutex_};
  const auto waits = std::find_if(questions_.begin(), questions_.end(), [&](const auto& question) {
    return question.id == id && question.starts == starts;
  });
  if (waits != questions_.end()) return void(waits->work = std::move(work));
  questions_.push_back({id, starts, std::move(work)});
  if (!thread_.joinable())
    thread_ = std::jthread{[this](const std::stop_token& stop) {
      os::name_this_thread(thread_name_);
      loop(stop);
    }};
  wake_.notify_all();
}

std::string BackgroundInspection::found(const plan::InstanceId& id, std::uint32_t starts) {
  const std::lock_guard lock{mutex_};
  const auto known = found_.find(id);
  return known == found_.end() || known->second.starts != starts ? std::string{}
                                                                 : known->second.text;
}

void BackgroundInspection::forget(const plan::InstanceId& id) {
  const std::lock_guard lock{mutex_};
  found_.erase(id);
}

void BackgroundInspection::loop(const std::stop_token& stop) {
  for (;;) {
    std::unique_lock lock{mutex_};
    if (!wake_.wait(lock, stop, [&] { return !questions_.empty(); })) return;
    const auto question = std::move(questions_.front());
    questions_.pop_front();
    lock.unlock();
    answer(question, stop);
  }
}

void BackgroundInspection::answer(const Question& question, const std::stop_token& stop) {
  auto text = question.work(stop);
  if (!text) return;
  Changed tell;
  {
    const std::lock_guard lock{mutex_};
    auto& last = found_[question.id];
    const auto before = last.starts == question.starts ? last.text : std::string{};
    if (before != *text) tell = changed_;
    last = {question.starts, std::move(*text)};
  }
  if (tell) tell(question.id);
}

}  // namespace holdfast::deploy::runtime
