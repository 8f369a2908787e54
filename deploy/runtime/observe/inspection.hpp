#pragma once
/// \file
/// The closer look at running instances: what others did to them from outside or inside. Reads
/// files and /proc only; what it finds is put into words that name no content of a secret.

#include <map>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "deploy/runtime/host/host.hpp"
#include "deploy/runtime/record/record.hpp"

namespace holdfast::deploy::runtime {

/// Writes down, before the program of an instance first runs, what its mounts are, and what lies in
/// its upper directory by our own doing. Errors: io.
[[nodiscard]] Status record_baseline(const Host& host, const plan::InstanceId& id, pid_t init);

/// What lay in the upper directory of an instance when its program first ran, by our own doing: a
/// line for each path. There is none without a writable root.
[[nodiscard]] std::filesystem::path writes_file(const Host& host, const plan::InstanceId& id);

/// Secrets of an instance that are no longer what its copies are, in words that name no content;
/// empty when there is none. Reads files of the host: not for the engine thread.
[[nodiscard]] std::string secrets_text(const InstanceRecord& record, const Paths& paths,
                                       const HostFileRule& rule);

/// What lies in `upper` besides the paths in the file `known`, in words; none: removed meanwhile.
/// Walks a tree of others: not for the engine thread.
[[nodiscard]] std::optional<std::string> new_writes(const std::filesystem::path& upper,
                                                    const std::filesystem::path& known,
                                                    const std::stop_token& stop);

/// Limits, network and mounts of one running instance against what it was started with. About 0.2
/// ms.
[[nodiscard]] std::vector<plan::Deviation> inspect(const Host& host, const InstanceRecord& record,
                                                   const RunState& run);

/// Up to `count` of the sorted ids, those after `last` first, then around from the beginning. Pure.
[[nodiscard]] std::vector<plan::InstanceId> next_turns(const std::vector<plan::InstanceId>& sorted,
                                                       const plan::InstanceId& last,
                                                       std::size_t count);

/// Lines of mountinfo(5) without what differs between two looks at the same mounts: ids and peer
/// groups.
[[nodiscard]] std::vector<std::string> mount_lines(std::string_view mountinfo);
/// "mounted /x (tmpfs)", "unmounted /y", "changed /z", for people; empty when there is none. Pure.
[[nodiscard]] std::string mount_changes(const std::vector<std::string>& before,
                                        const std::vector<std::string>& after);
/// Whether a text of /proc/net/fib_trie has this address as a local one. Pure.
[[nodiscard]] bool has_local_address(std::string_view fib_trie, plan::Address address);

}  // namespace holdfast::deploy::runtime
