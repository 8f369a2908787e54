// Processes that came into an instance from outside: by nsenter, or by the runtime's own exec.
#include <dirent.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <unordered_map>

#include "common/base/text.hpp"
#include "deploy/runtime/observe/inspection.hpp"
#include "deploy/runtime/record/small_file.hpp"

namespace holdfast::deploy::runtime {
namespace {

struct Resident {
  pid_t parent = 0;
  const plan::InstanceId* instance = nullptr;
};

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

/// Whether `pid` or an ancestor of it is this agent: what probes run.
bool is_ours(pid_t pid) {
  constexpr int kDeepest = 64;
  for (int i = 0; i < kDeepest && pid > 1; ++i) {
    if (pid == getpid()) return true;
    pid = parent_of(pid);
  }
  return false;
}

/// Every process with a namespace of an instance.
std::unordered_map<pid_t, Resident> residents(const std::map<plan::InstanceId, ProcessId>& inits,
                                              const std::set<pid_t>& supervisors) {
  std::set<pid_t> known = supervisors;
  for (const auto& [id, init] : inits) known.insert(init.pid);
  std::unordered_map<std::uint64_t, const plan::InstanceId*> owners;
  for (const auto& [id, init] : inits) {
    for (const auto* kind : {"pid", "mnt"})
      if (const auto inode = namespace_of(init.pid, kind); inode != 0) owners.emplace(inode, &id);
  }
  // One that shares the agent's own namespaces would claim the whole host.
  for (const auto* kind : {"pid", "mnt"}) owners.erase(namespace_of(getpid(), kind));
  std::unordered_map<pid_t, Resident> out;
  const std::unique_ptr<DIR, int (*)(DIR*)> proc{opendir("/proc"), closedir};
  while (const dirent* entry = proc ? readdir(proc.get()) : nullptr) {
    const auto number = parse_number(entry->d_name);
    if (!number) continue;
    const auto pid = static_cast<pid_t>(*number);
    if (known.contains(pid)) continue;
    auto owner = owners.find(namespace_of(pid, "pid"));
    if (owner == owners.end()) owner = owners.find(namespace_of(pid, "mnt"));
    if (owner != owners.end()) out.emplace(pid, Resident{parent_of(pid), owner->second});
  }
  return out;
}

bool descends(pid_t pid, pid_t init, const std::unordered_map<pid_t, Resident>& all) {
  for (std::size_t i = 0; i <= all.size(); ++i) {
    if (pid == init) return true;
    const auto found = all.find(pid);
    if (found == all.end()) return is_ours(pid);
    pid = found->second.parent;
  }
  return false;
}

}  // namespace

std::map<plan::InstanceId, std::vector<ForeignProcess>> foreign_processes(
    const std::map<plan::InstanceId, ProcessId>& inits, const std::set<pid_t>& supervisors) {
  std::map<plan::InstanceId, std::vector<ForeignProcess>> out;
  if (inits.empty()) return out;
  const auto all = residents(inits, supervisors);
  for (const auto& [pid, resident] : all) {
    if (descends(pid, inits.at(*resident.instance).pid, all)) continue;
    const auto process = identify(pid);
    const auto name = read_small(fmt::format("/proc/{}/comm", pid));
    struct stat info {};
    if (!process || !alive(*process) || ::stat(fmt::format("/proc/{}", pid).c_str(), &info) != 0)
      continue;  // it ended meanwhile
    // A child of the first process whose parent ended in between is looked at once more.
    if (parent_of(pid) == inits.at(*resident.instance).pid) continue;
    out[*resident.instance].push_back(
        {*process, printable(name.value_or("?")), static_cast<std::uint32_t>(info.st_uid)});
  }
  return out;
}

}  // namespace holdfast::deploy::runtime
