#include "common/os/marked_processes.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "common/os/process.hpp"

namespace holdfast::os {
namespace {

constexpr std::size_t kPiece = 64U << 10;
constexpr std::size_t kMostList = 1U << 20;
constexpr Milliseconds kStep{2};

/// Of a process that is ending it is empty. Read in pieces: it may be megabytes.
bool is_marked(pid_t pid, std::string_view mark) {
  const auto file = open_file(fmt::format("/proc/{}/environ", pid), O_RDONLY);
  if (!file) return false;
  const auto entry = std::string(1, '\0').append(mark);
  std::string kept(1, '\0');  // as if an entry had ended before the first
  std::string piece(kPiece, '\0');
  for (;;) {
    const auto got = ::read(file->get(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    kept.append(piece, 0, static_cast<std::size_t>(got));
    if (kept.find(entry) != std::string::npos) return true;
    kept.erase(0, kept.size() - std::min(kept.size(), entry.size() - 1));
  }
}

/// Zombies too: they are counted no more once their parent has waited for them.
bool is_in_session(pid_t pid, pid_t session) { return session > 0 && ::getsid(pid) == session; }

bool is_zombie(pid_t pid) {
  const auto text = read_file(fmt::format("/proc/{}/stat", pid), kPiece);
  const auto end = text ? text->rfind(") ") : std::string::npos;
  return end != std::string::npos && text->compare(end + 2, 1, "Z") == 0;
}

}  // namespace

std::size_t kill_marked(const std::filesystem::path& list, const ProcessMark& mark) {
  const auto pids = read_file(list, kMostList);
  if (!pids) return 0;  // no group, so no process
  std::size_t found = 0;
  for (const auto line : split(*pids, '\n')) {
    const auto number = parse_number(trim(line));
    const auto pid = number ? static_cast<pid_t>(*number) : pid_t{0};
    if (pid < 2) continue;
    const auto process = open_pidfd(pid);  // before the look: what it names stays the same
    if (!process || is_zombie(pid)) continue;
    if (!is_in_session(pid, mark.session) && !is_marked(pid, mark.entry)) continue;
    ++found;
    (void)::syscall(SYS_pidfd_send_signal, process->get(), SIGKILL, nullptr, 0);
  }
  return found;
}

bool end_marked(const std::filesystem::path& list, const ProcessMark& mark, Milliseconds within) {
  const SystemClock clock;
  const auto deadline = clock.boot() + within;
  while (kill_marked(list, mark) > 0) {
    if (clock.boot() >= deadline) return false;
    (void)sleep_until(clock.boot() + kStep, {});
  }
  return true;
}

}  // namespace holdfast::os
