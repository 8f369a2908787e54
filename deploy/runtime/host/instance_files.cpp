#include "deploy/runtime/host/instance_files.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>

#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "common/os/process.hpp"

namespace holdfast::deploy::runtime {

void send_signal(const ProcessId& process, int signo) {
  const auto pidfd = os::open_pidfd(process.pid);
  if (!pidfd || !alive(process)) return;
  syscall(SYS_pidfd_send_signal, pidfd->get(), signo, nullptr, 0);
}

Status check_id(const plan::InstanceId& id) {
  constexpr std::size_t kMax = 64;
  const auto& text = id.str();
  const auto alnum = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  const bool good = !text.empty() && text.size() <= kMax && alnum(text.front()) &&
                    std::all_of(text.begin(), text.end(), [&](char c) {
                      return alnum(c) || c == '_' || c == '.' || c == '-';
                    });
  if (good) return ok();
  return Error{Errc::usage, fmt::format("{} is not an instance id", printable(text))};
}

namespace {

Result<InstanceRecord> read_copy(const std::filesystem::path& path, const plan::InstanceId& id) {
  HF_ASSIGN(const auto text, os::read_regular_file(path, 1U << 20));
  HF_ASSIGN(auto record, parse_record(text));
  if (record.id == id) return record;
  return Error{Errc::io, fmt::format("{} is the record of {}", path.string(), record.id.str())};
}

}  // namespace

Result<InstanceRecord> read_record(const Host& host, const plan::InstanceId& id) {
  auto copy = read_copy(host.paths.run_record(id), id);
  if (copy && copy->boot_id == boot_id()) return copy;
  return read_copy(host.paths.record(id), id);
}

Status copy_record(const Host& host, const InstanceRecord& record) {
  return os::write_atomic(host.paths.run_record(record.id), to_json(record), 0600,
                          os::Durability::lazy);
}

Result<bool> mend_record(const Host& host, const plan::InstanceId& id) {
  HF_ASSIGN(const auto record, read_record(host, id));
  if (record.boot_id != boot_id()) return false;
  const auto wanted = to_json(record);
  const auto is_so = [&](const std::filesystem::path& path) {
    const auto text = os::read_regular_file(path, 1U << 20);
    return text && *text == wanted;
  };
  if (!is_so(host.paths.run_record(id))) HF_TRY(copy_record(host, record));
  if (is_so(host.paths.record(id))) return false;
  HF_TRY(os::make_directories(host.paths.kept(id)));
  HF_TRY(os::write_atomic(host.paths.record(id), wanted));
  return true;
}

Result<RunState> read_run_state(const Host& host, const plan::InstanceId& id) {
  HF_ASSIGN(const auto text, os::read_regular_file(host.paths.run_state(id), 64U << 10));
  HF_ASSIGN(auto run, parse_run_state(text));
  if (run.boot_id != boot_id()) return Error{Errc::not_found, "the host was rebooted since"};
  return run;
}

Status write_run_state(const Host& host, const plan::InstanceId& id, const RunState& run) {
  return os::write_atomic(host.paths.run_state(id), to_json(run), 0600, os::Durability::lazy);
}

std::optional<plan::ExitInfo> read_exit(const Host& host, const plan::InstanceId& id) {
  const auto path = host.paths.exit_file(id);
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return std::nullopt;
  const auto text = os::read_regular_file(path, 64);
  const auto code =
      text ? parse_number(trim(*text)) : Result<std::uint64_t>{Error{Errc::not_found, ""}};
  if (!code) return std::nullopt;
  const auto since_epoch =
      std::chrono::seconds{info.st_mtim.tv_sec} + std::chrono::nanoseconds{info.st_mtim.tv_nsec};
  // conmon's oom file may come late or, when conmon lost the race with the exit, never: the group's
  // own count decides too.
  const bool oom = ::access((host.paths.bundle(id) / "oom").c_str(), F_OK) == 0 ||
                   host.cgroups.oom_kills(host.group(id)) > 0;
  return plan::ExitInfo{.code = static_cast<int>(*code),
                        .oom = oom,
                        .at = WallTime{std::chrono::duration_cast<Milliseconds>(since_epoch)}};
}

}  // namespace holdfast::deploy::runtime
