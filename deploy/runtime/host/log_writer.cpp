#include "deploy/runtime/host/log_writer.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "common/os/process.hpp"
#include "deploy/runtime/record/small_file.hpp"

namespace holdfast::deploy::runtime {
namespace {

constexpr int kFifo = 3;
constexpr Milliseconds kStartsWithin{5'000};

std::filesystem::path count_file(const std::filesystem::path& bundle) {
  return bundle / "log.dropped";
}

/// Read by nobody yet, so that conmon's open(2) for writing finds a reader.
Result<os::UniqueFd> open_fifo(const std::filesystem::path& path) {
  if (::mkfifo(path.c_str(), 0600) != 0 && errno != EEXIST)
    return errno_error(errno, "make " + path.string());
  return os::open_file(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
}

}  // namespace

std::filesystem::path log_fifo(const std::filesystem::path& bundle) { return bundle / "log.fifo"; }

Result<ProcessId> start_log_writer(const LogWriterRequest& request, const std::stop_token& stop) {
  HF_ASSIGN(const auto fifo, open_fifo(log_fifo(request.bundle)));
  HF_ASSIGN(auto begin, os::make_pipe());
  HF_ASSIGN(auto answer, os::make_pipe());
  HF_ASSIGN(const auto null, os::open_file("/dev/null", O_RDWR));
  auto spawned = os::Process::spawn(
      {.argv = {request.program.string(), request.log.string(),
                std::to_string(request.max_size.value()), count_file(request.bundle).string()},
       .env = {os::kChildPath},
       .fds =
           {{begin.first.get(), 0}, {answer.second.get(), 1}, {null.get(), 2}, {fifo.get(), kFifo}},
       .directory = "/",
       .new_session = false});
  if (!spawned)
    return std::move(spawned)
        .error()
        .in("start the writer of the log")
        .hint("install holdfast-log beside holdfastd");
  answer.second.reset();
  HF_TRY(request.place(spawned->pid()));
  HF_TRY(os::write_all(begin.second.get(), "x"));
  HF_ASSIGN(const auto ended, spawned->wait(SystemClock{}.boot() + kStartsWithin, stop));
  std::array<char, 32> text{};
  const ssize_t got =
      os::succeeded(ended) ? ::read(answer.first.get(), text.data(), text.size()) : 0;
  const auto pid = parse_number(
      trim(std::string_view{text.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0))}));
  if (!pid)
    return Error{Errc::io, fmt::format("{} did not start: {}", request.program.string(),
                                       os::describe(ended))};
  return identify(static_cast<pid_t>(*pid));
}

std::vector<ProcessId> find_log_writers(const std::filesystem::path& bundle) {
  std::vector<ProcessId> out;
  const std::string wanted = count_file(bundle).string();
  std::error_code bad;
  for (const auto& entry : std::filesystem::directory_iterator{"/proc", bad}) {
    const auto pid = parse_number(entry.path().filename().string());
    if (!pid) continue;
    const auto arguments = read_small(entry.path().string() + "/cmdline");
    if (!arguments) continue;
    const auto words = split(*arguments, '\0');
    constexpr std::size_t kCountFile = 3;
    if (words.size() <= kCountFile || words[kCountFile] != wanted ||
        !words.front().ends_with("/holdfast-log"))
      continue;
    if (const auto process = identify(static_cast<pid_t>(*pid))) out.push_back(*process);
  }
  return out;
}

std::uint64_t dropped_bytes(const std::filesystem::path& bundle) {
  const auto text = read_small(count_file(bundle).string());
  const auto count = text ? parse_number(*text) : Result<std::uint64_t>{Error{Errc::not_found, ""}};
  return count ? *count : 0;
}

}  // namespace holdfast::deploy::runtime
