#include "deploy/engine/state/evidence.hpp"

#include <algorithm>
#include <utility>

#include "common/log/log.hpp"

namespace holdfast::deploy::engine {
namespace {

constexpr Milliseconds kPatience{500};
constexpr Milliseconds kFresh{1000};
constexpr std::size_t kMostBytes = 1U << 20;

std::size_t size_of(const runtime::LastWords& words) {
  std::size_t bytes = words.advice.size();
  for (const auto& line : words.lines) bytes += line.size();
  return bytes;
}

}  // namespace

bool Evidence::is_in(const plan::ObservedInstance& ended) {
  if (!read_) return true;
  const auto known = entries_.find(ended.id);
  if (known != entries_.end() && known->second.of_end && known->second.starts == ended.starts)
    return !known->second.waiting;
  ask(ended.id, ended.starts, true);
  return false;
}

bool Evidence::is_in(const plan::InstanceId& id) {
  if (!read_) return true;
  const auto known = entries_.find(id);
  if (known != entries_.end()) {
    const auto& entry = known->second;
    if (entry.waiting) return false;
    if (entry.of_end || clock_.boot() - entry.asked < kFresh) return true;
  }
  ask(id, 0, false);
  return false;
}

const runtime::LastWords& Evidence::of(const plan::InstanceId& id) const {
  static const runtime::LastWords kNothing;
  const auto known = entries_.find(id);
  return known == entries_.end() ? kNothing : known->second.words;
}

void Evidence::ask(const plan::InstanceId& id, std::uint32_t starts, bool of_end) {
  const auto number = ++last_number_;
  entries_.insert_or_assign(id, Entry{.number = number,
                                      .starts = starts,
                                      .of_end = of_end,
                                      .waiting = true,
                                      .asked = clock_.boot()});
  if (reading_.insert(id).second) read(id, number);
}

/// One at a time of an instance: its disk may not answer, and each would take a thread.
void Evidence::read(const plan::InstanceId& id, std::uint64_t number) {
  jobs_.run(Jobs::Pool::evidence,
            [this, id, number](const std::stop_token&) -> std::function<void()> {
              return [this, id, number, words = read_(id)] { take(id, number, words); };
            });
}

void Evidence::take(const plan::InstanceId& id, std::uint64_t number, runtime::LastWords words) {
  const auto known = entries_.find(id);
  const bool asked_again =
      known != entries_.end() && known->second.number != number && known->second.waiting;
  if (asked_again) return read(id, known->second.number);
  reading_.erase(id);
  if (known == entries_.end() || known->second.number != number) return;
  known->second.words = std::move(words);
  if (std::exchange(known->second.waiting, false)) attention_.mark_changed();
  fit();
}

void Evidence::fit() {
  std::size_t all = 0;
  for (const auto& [id, entry] : entries_) all += size_of(entry.words);
  while (all > kMostBytes) {
    const auto longest =
        std::max_element(entries_.begin(), entries_.end(), [](const auto& a, const auto& b) {
          return size_of(a.second.words) < size_of(b.second.words);
        });
    all -= size_of(longest->second.words);
    longest->second.words = {};
  }
}

void Evidence::keep_only(const std::map<plan::InstanceId, plan::InstanceView>& instances,
                         bool under_way) {
  // Of the process before the one that runs now.
  std::erase_if(entries_, [&](const auto& row) {
    const auto there = instances.find(row.first);
    return row.second.of_end && there != instances.end() &&
           there->second.seen.state != plan::InstanceState::exited;
  });
  if (under_way) return;
  std::erase_if(entries_, [&](const auto& row) {
    const auto& [id, entry] = row;
    const auto there = instances.find(id);
    if (there == instances.end()) return true;
    return !entry.of_end && !entry.waiting && clock_.boot() - entry.asked >= kFresh;
  });
}

bool Evidence::expire() {
  bool released = false;
  const auto now = clock_.boot();
  for (auto& [id, entry] : entries_) {
    if (!entry.waiting || now - entry.asked < kPatience) continue;
    entry.waiting = false;
    released = true;
    log::warn(
        "event=last_lines_late instance={} hint=\"its log is on a disk that does not answer "
        "in time: what happened to it is recorded without them\"",
        id.str());
  }
  return released;
}

BootTime Evidence::wake_at() const {
  BootTime first = BootTime::max();
  for (const auto& [id, entry] : entries_)
    if (entry.waiting) first = std::min(first, entry.asked + kPatience);
  return first;
}

}  // namespace holdfast::deploy::engine
