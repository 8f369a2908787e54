#include "deploy/runtime/observer.hpp"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "common/os/file.hpp"
#include "deploy/network/netns.hpp"
#include "deploy/runtime/inspection.hpp"
#include "deploy/runtime/lifecycle.hpp"

namespace holdfast::deploy::runtime {
namespace {

Result<std::vector<plan::InstanceId>> list_ids(const std::filesystem::path& directory) {
  struct Closer {
    void operator()(DIR* dir) const { closedir(dir); }
  };
  std::vector<plan::InstanceId> ids;
  const std::unique_ptr<DIR, Closer> dir{opendir(directory.c_str())};
  if (!dir) {
    if (errno == ENOENT) return ids;
    return errno_error(errno, "list " + directory.string());
  }
  while (const dirent* entry = readdir(dir.get())) {
    plan::InstanceId id{entry->d_name};
    if (check_id(id)) ids.push_back(std::move(id));
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

/// Of a namespace file, followed; 0 when there is none.
ino_t inode_of(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

/// The part of an id before "-<hash>-<sequence>".
proto::ServiceName service_of(const plan::InstanceId& id) {
  auto name = id.str();
  for (int i = 0; i < 2; ++i)
    if (const auto dash = name.rfind('-'); dash != std::string::npos) name.resize(dash);
  return proto::ServiceName{name};
}

}  // namespace

template <class Value, class Read>
Result<Value> Observer::cached(Cache<Value>& cache, const plan::InstanceId& id,
                               const std::string& path, Read read) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return errno_error(errno, "stat " + path);
  const Version version{
      .inode = info.st_ino,
      .time_ns = std::int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec};
  const std::lock_guard lock{mutex_};
  const auto found = cache.find(id);
  if (found != cache.end() && found->second.first == version) return found->second.second;
  HF_ASSIGN(Value fresh, read());
  cache.insert_or_assign(id, std::pair{version, fresh});
  return fresh;
}

Result<InstanceRecord> Observer::record(const plan::InstanceId& id) {
  return cached(records_, id, host_.paths.record(id), [&] { return read_record(host_, id); });
}

Result<RunState> Observer::run_state(const plan::InstanceId& id) {
  return cached(run_states_, id, host_.paths.run_state(id),
                [&] { return read_run_state(host_, id); });
}

Result<std::vector<ObservedInstance>> Observer::observe(const std::set<plan::InstanceId>& busy,
                                                        Look look) {
  HF_ASSIGN(const auto ids, list_ids(host_.paths.instances()));
  std::vector<ObservedInstance> out;
  out.reserve(ids.size());
  for (const auto& id : ids) out.push_back(observe_one(id, busy.contains(id)));
  look_closely(out, look);
  const std::lock_guard lock{mutex_};
  const auto gone = [&](const auto& entry) {
    return !std::binary_search(ids.begin(), ids.end(), entry.first);
  };
  std::erase_if(records_, gone);
  std::erase_if(run_states_, gone);
  std::erase_if(inspected_, gone);
  return out;
}

ObservedInstance Observer::observe_one(const plan::InstanceId& id, bool in_progress) {
  const auto known = record(id);
  if (!known) {
    const auto unknown = proto::Digest::of({});
    ObservedInstance seen{.id = id,
                          .service = service_of(id),
                          .generation = 0,
                          .run_hash = unknown,
                          .image = unknown,
                          .manifest = unknown,
                          .exit = {},
                          .deviations = {}};
    seen.state = in_progress ? InstanceState::creating : InstanceState::broken;
    return seen;
  }
  ObservedInstance seen{.id = id,
                        .service = known->service,
                        .generation = known->generation,
                        .run_hash = known->run_hash,
                        .image = known->image,
                        .manifest = known->manifest,
                        .exit = {},
                        .deviations = {}};
  seen.earlier_boot = known->boot_id != boot_id();
  add_state(seen, *known, in_progress);
  return seen;
}

void Observer::add_state(ObservedInstance& seen, const InstanceRecord& known, bool in_progress) {
  const auto run = run_state(seen.id);
  if (!run || (run->starts == 0 && run->phase != Phase::started)) {
    seen.state = in_progress ? InstanceState::creating : InstanceState::broken;
    return;
  }
  seen.address = run->address;
  seen.starts = run->starts;
  seen.started = WallTime{Milliseconds{run->started_wall_ms}};
  seen.started_boot = BootTime{std::chrono::nanoseconds{run->started_boot_ns}};
  if (run->phase != Phase::started) {
    seen.state = InstanceState::exited;
    seen.exit = run->last_exit;
    return;
  }
  add_deviations(seen, known, *run);
  if (!alive(run->init)) {  // asked last: what a process lacks that is just ending is no difference
    seen.deviations.clear();
    seen.state = InstanceState::exited;
    seen.exit = read_exit(host_, seen.id);
    return;
  }
  seen.pid = run->init.pid;
  const bool frozen = host_.cgroups.frozen(host_.group(seen.id));
  seen.state = !alive(run->conmon) ? InstanceState::unsupervised
               : frozen            ? InstanceState::frozen
                                   : InstanceState::running;
}

void Observer::add_deviations(ObservedInstance& seen, const InstanceRecord& known,
                              const RunState& run) const {
  const auto group = host_.group(seen.id);
  for (auto& text : host_.cgroups.deviations(group, known.limits))
    seen.deviations.push_back({proto::DriftKind::limits, std::move(text), true});
  seen.oom_kills = host_.cgroups.oom_kills(group);
  if (run.netns.empty()) return;
  const auto pinned = inode_of(run.netns);
  const auto own = inode_of(fmt::format("/proc/{}/ns/net", run.init.pid));
  if (!network::is_netns_pinned(run.netns)) {
    seen.deviations.push_back(
        {proto::DriftKind::network, "its namespace is no longer pinned", true});
  } else if (own != 0 && pinned != own) {
    seen.deviations.push_back(
        {proto::DriftKind::network, "the process is not in the namespace of the instance"});
  }
}

/// A quick look repeats what the last thorough one found of the same process.
void Observer::look_closely(std::vector<ObservedInstance>& all, Look look) {
  const auto runs = [](const ObservedInstance& seen) {
    return seen.state == InstanceState::running || seen.state == InstanceState::unsupervised;
  };
  std::map<plan::InstanceId, std::vector<ForeignProcess>> foreign;
  if (look == Look::thorough) {
    std::map<plan::InstanceId, ProcessId> inits;
    for (const auto& seen : all) {
      const auto run =
          runs(seen) ? run_state(seen.id) : Result<RunState>{Error{Errc::not_found, ""}};
      if (run) inits.emplace(seen.id, run->init);
    }
    foreign = foreign_processes(inits);
  }
  for (auto& seen : all) {
    if (!runs(seen)) continue;
    if (look == Look::thorough) {
      const auto known = record(seen.id);
      const auto run = run_state(seen.id);
      if (!known || !run || run->starts != seen.starts) continue;
      auto found = inspect(host_, *known, *run);
      for (const auto& each : foreign[seen.id])
        found.push_back(
            {proto::DriftKind::foreign_process,
             fmt::format("pid {} ({}), uid {}", each.process.pid, each.name, each.uid)});
      if (!alive(run->init)) found.clear();
      const std::lock_guard lock{mutex_};
      inspected_.insert_or_assign(seen.id, std::pair{seen.starts, std::move(found)});
    }
    const std::lock_guard lock{mutex_};
    const auto known = inspected_.find(seen.id);
    if (known != inspected_.end() && known->second.first == seen.starts)
      seen.deviations.insert(seen.deviations.end(), known->second.second.begin(),
                             known->second.second.end());
  }
}

}  // namespace holdfast::deploy::runtime
