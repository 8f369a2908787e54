#include "deploy/runtime/observe/observer.hpp"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <memory>
#include <utility>

#include "common/log/log.hpp"
#include "common/os/file.hpp"
#include "deploy/runtime/host/instance_files.hpp"
#include "deploy/runtime/observe/inspection.hpp"
#include "deploy/runtime/storage/config_files.hpp"

namespace holdfast::deploy::runtime {
namespace {

/// Adds the names in a directory that can be ids, `most` new ones at most.
Status add_ids(const std::filesystem::path& directory, std::size_t most,
               std::set<plan::InstanceId>& ids) {
  struct Closer {
    void operator()(DIR* dir) const { closedir(dir); }
  };
  const std::unique_ptr<DIR, Closer> dir{opendir(directory.c_str())};
  if (!dir) {
    if (errno == ENOENT) return ok();
    return errno_error(errno, "list " + directory.string());
  }
  for (const dirent* entry = nullptr; most > 0 && (entry = readdir(dir.get())) != nullptr;) {
    plan::InstanceId id{entry->d_name};
    if (check_id(id) && ids.insert(std::move(id)).second) --most;
  }
  return ok();
}

/// What can run has a bundle. What has none was left over: of many some at a time, which is enough
/// as those that belong to nothing are removed.
Result<std::vector<plan::InstanceId>> list_ids(const Paths& paths) {
  constexpr std::size_t kMostBundles = 4'096;
  constexpr std::size_t kMostLeftOver = 256;
  std::set<plan::InstanceId> ids;
  HF_TRY(add_ids(paths.bundles(), kMostBundles, ids));
  HF_TRY(add_ids(paths.instances(), kMostLeftOver, ids));
  return std::vector<plan::InstanceId>{ids.begin(), ids.end()};
}

/// The part of an id before "-<hash>-<sequence>".
proto::ServiceName service_of(const plan::InstanceId& id) {
  auto name = id.str();
  for (int i = 0; i < 2; ++i)
    if (const auto dash = name.rfind('-'); dash != std::string::npos) name.resize(dash);
  return proto::ServiceName{name};
}

/// What a program wrote before a restart of its process stays a difference.
constexpr std::uint32_t kAnyStart = 0;

}  // namespace

template <class Value, class Read>
Result<Value> Observer::cached(Cache<Value>& cache, const plan::InstanceId& id,
                               const std::string& path, Read read) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return errno_error(errno, "stat " + path);
  const Version version{
      .inode = info.st_ino,
      .time_ns = std::int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec};
  {
    const std::lock_guard lock{mutex_};
    const auto found = cache.find(id);
    if (found != cache.end() && found->second.first == version) return found->second.second;
  }
  Result<Value> fresh = read();
  const std::lock_guard lock{mutex_};
  if (fresh) {
    cache.insert_or_assign(id, std::pair{version, *fresh});
    return fresh;
  }
  // They are replaced as a whole: one that cannot be read was damaged, which ends no instance.
  const auto last = cache.find(id);
  return last == cache.end() ? std::move(fresh) : last->second.second;
}

Result<InstanceRecord> Observer::record(const plan::InstanceId& id) {
  const auto read = [&] { return read_record(host_, id); };
  auto copy = cached(records_, id, host_.paths.run_record(id), read);
  return copy ? std::move(copy) : cached(records_, id, host_.paths.record(id), read);
}

Result<RunState> Observer::run_state(const plan::InstanceId& id) {
  return cached(run_states_, id, host_.paths.run_state(id),
                [&] { return read_run_state(host_, id); });
}

Result<std::vector<ObservedInstance>> Observer::observe(const std::set<plan::InstanceId>& busy,
                                                        InspectionDepth depth,
                                                        const KnownToRun& known_to_run) {
  HF_ASSIGN(const auto ids, list_ids(host_.paths));
  std::vector<ObservedInstance> out;
  out.reserve(ids.size());
  for (const auto& id : ids) out.push_back(observe_one(id, busy.contains(id), known_to_run));
  look_closely(out, depth);
  const std::lock_guard lock{mutex_};
  const auto gone = [&](const auto& entry) {
    return !std::binary_search(ids.begin(), ids.end(), entry.first);
  };
  std::erase_if(records_, gone);
  std::erase_if(run_states_, gone);
  for (const auto& [id, found] : found_)
    if (!std::binary_search(ids.begin(), ids.end(), id))
      writes_.forget(id), secrets_.forget(id), configs_.forget(id);
  std::erase_if(found_, gone);
  std::erase_if(suspects_,
                [&](const auto& id) { return !std::binary_search(ids.begin(), ids.end(), id); });
  return out;
}

ObservedInstance Observer::observe_one(const plan::InstanceId& id, bool in_progress,
                                       const KnownToRun& known_to_run) {
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
  seen.stop_timeout = known->stop_timeout;
  add_state(seen, in_progress, known_to_run);
  return seen;
}

void Observer::add_state(ObservedInstance& seen, bool in_progress, const KnownToRun& known_to_run) {
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
  const bool runs = known_to_run(seen.id, *run);
  if (!runs && !alive(run->init)) {
    seen.state = InstanceState::exited;
    const bool monitored = alive(run->conmon);  // before: it may write the code and end meanwhile
    seen.exit = read_exit(host_, seen.id);
    seen.code_pending = monitored && !seen.exit;
    return;
  }
  seen.pid = run->init.pid;
  const bool frozen = host_.cgroups.frozen(host_.group(seen.id));
  seen.state = !runs && !alive(run->conmon) ? InstanceState::unsupervised
               : frozen                     ? InstanceState::frozen
                                            : InstanceState::running;
}

void Observer::suspect(const plan::InstanceId& id) {
  const std::lock_guard lock{mutex_};
  suspects_.insert(id);
}

Observer::Choice Observer::choose(const std::vector<ObservedInstance>& running,
                                  InspectionDepth depth) {
  // Watchers tell of most changes at once; this finds the rest, at a cost that does not grow.
  constexpr std::size_t kByTurns = 16;
  const std::lock_guard lock{mutex_};
  Choice chosen;
  if (depth == InspectionDepth::liveness) return chosen;
  for (const auto& seen : running) {
    const auto known = found_.find(seen.id);
    const bool suspected = suspects_.contains(seen.id);
    if (depth == InspectionDepth::full || suspected || known == found_.end() ||
        known->second.starts != seen.starts)
      chosen.closer.insert(seen.id);
    chosen.entered = chosen.entered || depth != InspectionDepth::due || suspected;
    if (suspected) suspects_.erase(seen.id);  // one that does not run stays suspected
  }
  if (depth != InspectionDepth::sampled) return chosen;
  std::vector<plan::InstanceId> ids;
  for (const auto& seen : running) ids.push_back(seen.id);
  for (auto& id : next_turns(ids, looked_at_, kByTurns)) {
    looked_at_ = id;
    chosen.closer.insert(std::move(id));
  }
  return chosen;
}

void Observer::inspect_closely(const ObservedInstance& seen) {
  const auto known = record(seen.id);
  const auto run = run_state(seen.id);
  if (!known || !run || run->starts != seen.starts) return;
  Found found{.starts = seen.starts, .deviations = {}, .foreign = {}, .oom_kills = 0};
  found.oom_kills = host_.cgroups.oom_kills(host_.group(seen.id));
  found.deviations = inspect(host_, *known, *run);
  const auto known_writes = writes_file(host_, seen.id);
  struct stat info {};
  if (::stat(known_writes.c_str(), &info) == 0)
    writes_.ask(seen.id, kAnyStart,
                [upper = host_.paths.kept(seen.id) / "upper", known_writes](
                    const std::stop_token& stop) { return new_writes(upper, known_writes, stop); });
  if (!known->secrets.empty())
    secrets_.ask(seen.id, seen.starts,
                 [record = *known, paths = host_.paths,
                  rule = host_.rules.secret(known->allowed_secret_paths)](const std::stop_token&)
                     -> std::optional<std::string> { return secrets_text(record, paths, rule); });
  if (!run->configs.empty())
    configs_.ask(seen.id, seen.starts,
                 [id = seen.id, paths = host_.paths, placed = run->configs](const std::stop_token&)
                     -> std::optional<std::string> { return configs_text(paths, id, placed); });
  // Asked last: what a process lacks that is just ending is no difference.
  if (!alive(run->init)) found.deviations.clear();
  const std::lock_guard lock{mutex_};
  auto& kept = found_[seen.id];
  if (kept.starts == seen.starts) found.foreign = std::move(kept.foreign);
  kept = std::move(found);
}

/// All instances are asked about at once: the walk is over all processes of the host anyway.
void Observer::ask_for_foreign(const std::vector<ObservedInstance>& running) {
  const plan::InstanceId whole_host;
  Entered entered;
  for (const auto& seen : running) {
    const auto run = run_state(seen.id);
    if (!run || run->starts != seen.starts) continue;
    entered.inits.emplace(seen.id, run->init);
    entered.starts.emplace(seen.id, run->starts);
    entered.supervisors.insert(run->conmon.pid);
  }
  processes_.ask(whole_host, kAnyStart,
                 [this, entered = std::move(entered)](const std::stop_token& stop)
                     -> std::optional<std::string> { return find_foreign(entered, stop); });
}

/// Leaves what it finds with what is known of each instance; all of it as text, to be compared with
/// the next answer.
std::string Observer::find_foreign(const Entered& entered, const std::stop_token& stop) {
  constexpr std::size_t kListed = 20;
  auto foreign = walk_.look(entered.inits, entered.supervisors, stop);
  if (!walk_.saw_all() && !std::exchange(said_many_, true))
    log::info(
        "event=many_processes more_than={} hint=\"who came into an instance from outside is "
        "looked for in parts, one at each resync\"",
        walk_.bounds().processes);
  std::string all;
  const std::lock_guard lock{mutex_};
  for (const auto& [id, starts] : entered.starts) {
    const auto kept = found_.find(id);
    if (kept == found_.end() || kept->second.starts != starts) continue;
    auto& listed = kept->second.foreign;
    listed.clear();
    if (!foreign.contains(id) || !alive(entered.inits.at(id))) continue;
    for (const auto& each : foreign.at(id)) {
      if (listed.size() == kListed) {
        listed.push_back(
            {proto::DriftKind::foreign_process, fmt::format("more than {} processes", kListed)});
        break;
      }
      listed.push_back({proto::DriftKind::foreign_process,
                        fmt::format("pid {} ({}), uid {}", each.process.pid, each.name, each.uid)});
    }
    for (const auto& each : listed) all += fmt::format("{}: {}\n", id.str(), each.evidence);
  }
  return all;
}

void Observer::look_closely(std::vector<ObservedInstance>& all, InspectionDepth depth) {
  const auto runs = [](const ObservedInstance& seen) {
    return seen.state == InstanceState::running || seen.state == InstanceState::unsupervised;
  };
  std::vector<ObservedInstance> running;
  std::copy_if(all.begin(), all.end(), std::back_inserter(running), runs);
  const auto chosen = choose(running, depth);
  for (const auto& seen : running) {
    if (chosen.closer.contains(seen.id)) inspect_closely(seen);
  }
  if (chosen.entered) ask_for_foreign(running);
  const std::lock_guard lock{mutex_};
  for (auto& seen : all) {
    const auto known = found_.find(seen.id);
    if (!runs(seen) || known == found_.end() || known->second.starts != seen.starts) continue;
    seen.oom_kills = known->second.oom_kills;
    seen.deviations = known->second.deviations;
    seen.deviations.insert(seen.deviations.end(), known->second.foreign.begin(),
                           known->second.foreign.end());
    if (auto secrets = secrets_.found(seen.id, seen.starts); !secrets.empty())
      seen.deviations.push_back({proto::DriftKind::secret, std::move(secrets)});
    if (auto configs = configs_.found(seen.id, seen.starts); !configs.empty())
      seen.deviations.push_back({proto::DriftKind::config, std::move(configs)});
    if (auto writes = writes_.found(seen.id, kAnyStart); !writes.empty())
      seen.deviations.push_back({proto::DriftKind::writes, std::move(writes)});
  }
}

}  // namespace holdfast::deploy::runtime
