#include "deploy/runtime/observe/foreign_walk.hpp"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/base/text.hpp"
#include "deploy/runtime/record/small_file.hpp"

namespace holdfast::deploy::runtime {
namespace {

using Inits = ForeignWalk::Inits;

std::uint64_t namespace_of(pid_t pid, const char* kind) {
  struct stat info {};
  const auto path = fmt::format("/proc/{}/ns/{}", pid, kind);
  return ::stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

pid_t parent_of(pid_t pid) {
  const auto text = read_small(fmt::format("/proc/{}/stat", pid));
  const auto name_end = text ? text->rfind(") ") : std::string::npos;
  if (name_end == std::string::npos) return 0;
  const auto fields = split(std::string_view{*text}.substr(name_end + 2), ' ');
  const auto parent = fields.size() > 1 ? parse_number(fields[1]) : Result<std::uint64_t>{0U};
  return parent ? static_cast<pid_t>(*parent) : 0;
}

/// Which instance a process is in, by its namespaces.
class Owners {
 public:
  explicit Owners(const Inits& inits) {
    for (const auto& [id, init] : inits) {
      for (const auto* kind : {"pid", "mnt"})
        if (const auto inode = namespace_of(init.pid, kind); inode != 0)
          owners_.emplace(inode, &id);
    }
    // One that shares the agent's own namespaces would claim the whole host.
    for (const auto* kind : {"pid", "mnt"}) owners_.erase(namespace_of(getpid(), kind));
  }
  [[nodiscard]] const plan::InstanceId* of(pid_t pid) const {
    for (const auto* kind : {"pid", "mnt"})
      if (const auto found = owners_.find(namespace_of(pid, kind)); found != owners_.end())
        return found->second;
    return nullptr;
  }

 private:
  std::unordered_map<std::uint64_t, const plan::InstanceId*> owners_;
};

/// From whom processes descend. Each is read once, however long the chains that lead through it.
class Descent {
 public:
  /// `most`: reads; `goes_on`: asked before each of them, but not for the first process: every look
  /// decides something.
  Descent(const Inits& inits, std::size_t most, std::function<bool()> goes_on)
      : most_(most), goes_on_(std::move(goes_on)) {
    for (const auto& [id, init] : inits) ends_.emplace(init.pid, init.pid);
    ends_.insert_or_assign(getpid(), getpid());
  }
  /// The first process of an instance, or this agent, whichever comes first upwards; 0 for neither;
  /// none when it took too long.
  [[nodiscard]] std::optional<pid_t> end_of(pid_t pid) {
    std::vector<pid_t> way;
    while (pid > 1 && !ends_.contains(pid)) {
      if (reads_ >= most_ || (decided_ > 0 && !goes_on_())) {
        for (const auto passed : way) ends_.erase(passed);
        return std::nullopt;
      }
      ++reads_;
      ends_.emplace(pid, 0);  // numbers are used again: a circle ends here
      way.push_back(pid);
      pid = parent_of(pid);
    }
    const auto end = pid > 1 ? ends_.at(pid) : pid_t{0};
    for (const auto passed : way) ends_.insert_or_assign(passed, end);
    ++decided_;
    return end;
  }

 private:
  const std::size_t most_;
  const std::function<bool()> goes_on_;
  std::size_t reads_ = 0;
  std::size_t decided_ = 0;
  std::unordered_map<pid_t, pid_t> ends_;
};

/// What is to be said of a process that does not descend from `init`; none when it ended meanwhile.
std::optional<ForeignProcess> describe(pid_t pid, pid_t init) {
  const auto process = identify(pid);
  const auto name = read_small(fmt::format("/proc/{}/comm", pid));
  struct stat info {};
  if (!process || !alive(*process) || ::stat(fmt::format("/proc/{}", pid).c_str(), &info) != 0)
    return std::nullopt;
  // A child of the first process whose parent ended in between is looked at once more.
  if (parent_of(pid) == init) return std::nullopt;
  return ForeignProcess{*process, printable(name.value_or("?")),
                        static_cast<std::uint32_t>(info.st_uid)};
}

}  // namespace

ForeignWalk::Found ForeignWalk::look(const Inits& inits, const std::set<pid_t>& supervisors,
                                     const std::stop_token& stop) {
  const auto deadline = clock_.boot() + bounds_.time;
  const Owners owners{inits};
  std::set<pid_t> passed = supervisors;
  for (const auto& [id, init] : inits) passed.insert(init.pid);
  const pid_t low = at_ == 0 ? 0 : next_;
  std::map<pid_t, const plan::InstanceId*> residents;
  const std::unique_ptr<DIR, int (*)(DIR*)> proc{opendir("/proc"), closedir};
  if (proc && at_ != 0) seekdir(proc.get(), at_);
  began_at_ = std::exchange(at_, 0);
  std::size_t looked_at = 0;
  while (const dirent* entry = proc ? readdir(proc.get()) : nullptr) {
    const auto number = parse_number(entry->d_name);
    if (!number) continue;
    const auto pid = static_cast<pid_t>(*number);
    next_ = pid + 1;
    if (!passed.contains(pid))
      if (const auto* owner = owners.of(pid)) residents.emplace(pid, owner);
    if (++looked_at < bounds_.processes && clock_.boot() < deadline && !stop.stop_requested())
      continue;
    at_ = telldir(proc.get());
    break;
  }
  const pid_t high = at_ == 0 ? std::numeric_limits<pid_t>::max() : next_ - 1;
  const auto former = known_;
  std::erase_if(known_, [&](const auto& row) {
    const auto& [pid, known] = row;
    return (pid >= low && pid <= high) || !inits.contains(known.instance) ||
           !alive(known.process.process);
  });
  const auto end_by = clock_.boot() + bounds_.time;
  Descent descent{inits, bounds_.processes,
                  [&] { return clock_.boot() < end_by && !stop.stop_requested(); }};
  for (const auto& [pid, owner] : residents) {
    const auto init = inits.at(*owner).pid;
    const auto end = descent.end_of(pid);
    const auto before = former.find(pid);
    if (!end && before != former.end() && alive(before->second.process.process))
      known_.insert(*before);  // until a look has the time to decide
    if (!end || *end == init || *end == getpid()) continue;
    if (auto foreign = describe(pid, init))
      known_.insert_or_assign(pid, Known{*owner, std::move(*foreign)});
  }
  Found found;
  for (const auto& [pid, known] : known_) found[known.instance].push_back(known.process);
  return found;
}

ForeignWalk::Found ForeignWalk::look_at_all(const Inits& inits, BootTime deadline) {
  auto found = look(inits, {}, {});
  while (!reached_end() && clock_.boot() < deadline) found = look(inits, {}, {});
  return found;
}

}  // namespace holdfast::deploy::runtime
