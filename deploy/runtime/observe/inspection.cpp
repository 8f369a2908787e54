#include "deploy/runtime/observe/inspection.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "deploy/network/kernel/netns.hpp"
#include "deploy/runtime/observe/upper_walk.hpp"
#include "deploy/runtime/record/small_file.hpp"
#include "deploy/runtime/storage/mounts.hpp"

namespace holdfast::deploy::runtime {
namespace {

using plan::Deviation;
using proto::DriftKind;

constexpr std::size_t kLargestTable = 1U << 20;
constexpr std::size_t kMostNamed = 3;

std::filesystem::path mounts_file(const Host& host, const plan::InstanceId& id) {
  return host.paths.bundle(id) / "mounts";
}

std::string joined(const std::vector<std::string>& lines) {
  return fmt::format("{}\n", fmt::join(lines, "\n"));
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  for (const auto line : split(text, '\n'))
    if (!line.empty()) lines.emplace_back(line);
  return lines;
}

/// The first few, and how many more.
std::string named(const std::vector<std::string>& all) {
  const auto shown = std::min(all.size(), kMostNamed);
  auto text = fmt::format(
      "{}", fmt::join(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(shown), ", "));
  if (all.size() > shown) text += fmt::format(" and {} more", all.size() - shown);
  return text;
}

void inspect_mounts(const Host& host, const plan::InstanceId& id, const RunState& run,
                    std::vector<Deviation>& out) {
  const auto before = os::read_regular_file(mounts_file(host, id), kLargestTable);
  const auto now =
      os::read_regular_file(fmt::format("/proc/{}/mountinfo", run.init.pid), kLargestTable);
  if (!before || !now || now->empty()) return;  // one that an older agent started has no record
  if (auto changes = mount_changes(lines_of(*before), mount_lines(*now)); !changes.empty())
    out.push_back({DriftKind::mounts, std::move(changes)});
}

void inspect_limits(const Host& host, const InstanceRecord& record, std::vector<Deviation>& out) {
  for (auto& text : host.cgroups.deviations(host.group(record.id), record.limits))
    out.push_back({DriftKind::limits, std::move(text), true});
}

/// Of a namespace file, followed; 0 when there is none.
ino_t inode_of(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

void inspect_namespace(const RunState& run, std::vector<Deviation>& out) {
  if (run.netns.empty()) return;
  const auto own = inode_of(fmt::format("/proc/{}/ns/net", run.init.pid));
  if (!network::is_netns_pinned(run.netns)) {
    out.push_back({DriftKind::network, "its namespace is no longer pinned", true});
  } else if (own != 0 && inode_of(run.netns) != own) {
    out.push_back({DriftKind::network, "the process is not in the namespace of the instance"});
  }
}

void inspect_address(const RunState& run, std::vector<Deviation>& out) {
  if (run.netns.empty() || run.address == 0) return;
  const auto table =
      os::read_regular_file(fmt::format("/proc/{}/net/fib_trie", run.init.pid), kLargestTable);
  if (table && !has_local_address(*table, run.address))
    out.push_back({DriftKind::network,
                   fmt::format("its address {} is gone", plan::address_text(run.address))});
}

/// Root, mount point, options, type, source and options of the file system.
struct MountLine {
  std::string_view point;
  std::string_view type;
};
MountLine parts_of(std::string_view line) {
  const auto fields = split(line, ' ');
  return fields.size() < 4 ? MountLine{line, ""} : MountLine{fields[1], fields[3]};
}

}  // namespace

std::filesystem::path writes_file(const Host& host, const plan::InstanceId& id) {
  return host.paths.bundle(id) / "upper";
}

std::vector<plan::InstanceId> next_turns(const std::vector<plan::InstanceId>& sorted,
                                         const plan::InstanceId& last, std::size_t count) {
  std::vector<plan::InstanceId> out;
  const auto first = std::upper_bound(sorted.begin(), sorted.end(), last) - sorted.begin();
  for (std::size_t i = 0; i < std::min(count, sorted.size()); ++i)
    out.push_back(sorted[(static_cast<std::size_t>(first) + i) % sorted.size()]);
  return out;
}

std::vector<std::string> mount_lines(std::string_view mountinfo) {
  std::vector<std::string> out;
  for (const auto line : split(mountinfo, '\n')) {
    const auto dash = line.find(" - ");
    const auto fields = split(line.substr(0, dash), ' ');
    if (dash == std::string_view::npos || fields.size() < 6) continue;
    out.push_back(
        fmt::format("{} {} {} {}", fields[3], fields[4], fields[5], line.substr(dash + 3)));
  }
  return out;
}

std::string mount_changes(const std::vector<std::string>& before,
                          const std::vector<std::string>& after) {
  std::multiset<std::string_view> gone{before.begin(), before.end()};
  std::vector<std::string_view> come;
  for (const auto& line : after) {
    if (const auto same = gone.find(line); same != gone.end()) {
      gone.erase(same);
    } else {
      come.push_back(line);
    }
  }
  std::vector<std::string> words;
  for (const auto line : come) {
    const auto [point, type] = parts_of(line);
    const auto former = std::find_if(gone.begin(), gone.end(), [&, at = point](const auto& each) {
      return parts_of(each).point == at;
    });
    const bool changed = former != gone.end();
    if (changed) gone.erase(former);
    words.push_back(changed ? "changed " + printable(point)
                            : fmt::format("mounted {} ({})", printable(point), printable(type)));
  }
  for (const auto line : gone) words.push_back("unmounted " + printable(parts_of(line).point));
  return words.empty() ? std::string{} : named(words);
}

bool has_local_address(std::string_view fib_trie, plan::Address address) {
  const auto wanted = "|-- " + plan::address_text(address);
  bool at_it = false;
  for (const auto line : split(fib_trie, '\n')) {
    if (at_it && line.find("/32 host LOCAL") != std::string_view::npos) return true;
    if (line.find("|-- ") != std::string_view::npos) at_it = line.ends_with(wanted);
  }
  return false;
}

Status record_baseline(const Host& host, const plan::InstanceId& id, pid_t init) {
  HF_ASSIGN(const auto table,
            os::read_regular_file(fmt::format("/proc/{}/mountinfo", init), kLargestTable));
  HF_TRY(os::write_atomic(mounts_file(host, id), joined(mount_lines(table)), 0600,
                          os::Durability::lazy));
  const auto upper = host.paths.kept(id) / "upper";
  struct stat info {};
  // What the program wrote before a restart of its process stays a difference.
  if (::stat(upper.c_str(), &info) != 0 || ::stat(writes_file(host, id).c_str(), &info) == 0)
    return ok();
  HF_ASSIGN(const auto ours, written_paths(upper, {}));
  return os::write_atomic(writes_file(host, id), joined(ours.paths), 0600, os::Durability::lazy);
}

std::string secrets_text(const InstanceRecord& record, const Paths& paths,
                         const HostFileRule& rule) {
  std::vector<std::string> changed;
  for (const auto& secret : record.secrets) {
    const auto before = os::read_regular_file(paths.secret(record.id, secret), kMaxHostFile);
    const auto now = read_host_file(secret.file, rule);
    if (!now) {
      const bool gone = now.error().code() == Errc::not_found;
      changed.push_back(fmt::format("{} cannot be read from {}{}", printable(secret.name),
                                    printable(secret.file),
                                    gone ? std::string{} : " (" + now.error().what() + ")"));
    } else if (!before || *before != *now) {
      changed.push_back(fmt::format("{} changed in {} after the process was started",
                                    printable(secret.name), printable(secret.file)));
    }
  }
  return changed.empty() ? std::string{} : named(changed);
}

std::optional<std::string> new_writes(const std::filesystem::path& upper,
                                      const std::filesystem::path& known,
                                      const std::stop_token& stop) {
  constexpr std::size_t kLargestList = 4U << 20;
  const auto list = os::read_regular_file(known, kLargestList);
  auto walked = written_paths(upper, {}, stop);
  if (!list || !walked) return std::nullopt;
  auto before = lines_of(*list);
  std::sort(before.begin(), before.end());
  auto paths = walked->paths;
  std::erase_if(paths, [&](const auto& path) {
    return std::binary_search(before.begin(), before.end(), path);
  });
  return writes_text(paths, *walked);
}

std::vector<Deviation> inspect(const Host& host, const InstanceRecord& record,
                               const RunState& run) {
  std::vector<Deviation> out;
  inspect_limits(host, record, out);
  inspect_namespace(run, out);
  inspect_mounts(host, record.id, run, out);
  inspect_address(run, out);
  return out;
}

}  // namespace holdfast::deploy::runtime
