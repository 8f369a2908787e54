#include "deploy/runtime/observe/writes_watch.hpp"

#include <algorithm>
#include <utility>

#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "common/os/process.hpp"
#include "deploy/runtime/observe/upper_walk.hpp"

namespace holdfast::deploy::runtime {
namespace {

constexpr std::size_t kLargestList = 4U << 20;

std::vector<std::string> sorted_lines(std::string_view text) {
  std::vector<std::string> lines;
  for (const auto line : split(text, '\n'))
    if (!line.empty()) lines.emplace_back(line);
  std::sort(lines.begin(), lines.end());
  return lines;
}

}  // namespace

WritesWatch::~WritesWatch() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void WritesWatch::on_change(Changed changed) {
  const std::lock_guard lock{mutex_};
  changed_ = std::move(changed);
}

void WritesWatch::ask(const plan::InstanceId& id, std::filesystem::path upper,
                      std::filesystem::path known) {
  const std::lock_guard lock{mutex_};
  const bool waits = std::any_of(questions_.begin(), questions_.end(),
                                 [&](const auto& question) { return question.id == id; });
  if (waits) return;
  questions_.push_back({id, std::move(upper), std::move(known)});
  if (!thread_.joinable())
    thread_ = std::jthread{[this](const std::stop_token& stop) {
      os::name_this_thread("writes-watch");
      loop(stop);
    }};
  wake_.notify_all();
}

std::string WritesWatch::found(const plan::InstanceId& id) {
  const std::lock_guard lock{mutex_};
  const auto known = found_.find(id);
  return known == found_.end() ? std::string{} : known->second;
}

bool WritesWatch::settle(Milliseconds at_most) {
  std::unique_lock lock{mutex_};
  return wake_.wait_for(lock, at_most, [&] { return questions_.empty() && !walking_; });
}

void WritesWatch::forget(const plan::InstanceId& id) {
  const std::lock_guard lock{mutex_};
  found_.erase(id);
}

void WritesWatch::loop(const std::stop_token& stop) {
  for (;;) {
    std::unique_lock lock{mutex_};
    if (!wake_.wait(lock, stop, [&] { return !questions_.empty(); })) return;
    const auto question = std::move(questions_.front());
    questions_.pop_front();
    walking_ = true;
    lock.unlock();
    answer(question, stop);
    lock.lock();
    walking_ = false;
    wake_.notify_all();
  }
}

void WritesWatch::answer(const Question& question, const std::stop_token& stop) {
  const auto known = os::read_file(question.known, kLargestList);
  auto walked = written_paths(question.upper, {}, stop);
  if (!known || !walked) return;  // removed meanwhile
  const auto before = sorted_lines(*known);
  auto paths = walked->paths;
  std::erase_if(paths, [&](const auto& path) {
    return std::binary_search(before.begin(), before.end(), path);
  });
  auto text = writes_text(paths, *walked);
  Changed tell;
  {
    const std::lock_guard lock{mutex_};
    auto& last = found_[question.id];
    if (last != text) tell = changed_;
    last = std::move(text);
  }
  if (tell) tell(question.id);
}

}  // namespace holdfast::deploy::runtime
