#include "deploy/runtime/host/cgroup_usage.hpp"

#include <algorithm>

#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "deploy/runtime/host/cgroup.hpp"
#include "deploy/runtime/record/small_file.hpp"

namespace holdfast::deploy::runtime {
namespace {

constexpr double kMicro = 1e-6;
constexpr double kNano = 1e-9;

std::uint64_t number(std::string_view text) {
  const auto value = parse_number(trim(text));
  return value ? *value : 0;
}

/// "key value" lines, and "key=value" words.
std::uint64_t value_of(std::string_view text, std::string_view key, char line_end = '\n',
                       char separator = ' ') {
  for (const auto line : split(text, line_end))
    if (line.size() > key.size() && line.starts_with(key) && line[key.size()] == separator)
      return number(line.substr(key.size() + 1));
  return 0;
}

/// A limit; 0: none, which v1 writes as LONG_MAX rounded down to a page, or -1.
std::uint64_t limit(std::string_view text) {
  constexpr std::uint64_t kUnlimited = std::uint64_t{1} << 62;
  const auto value = number(text);
  return value >= kUnlimited ? 0 : value;
}

double ratio(std::string_view quota, std::string_view period) {
  const auto of = number(period);
  return of == 0 ? 0 : static_cast<double>(number(quota)) / static_cast<double>(of);
}

/// A line for each device of the host, so they may be long.
std::string read_lines(const std::filesystem::path& path) {
  constexpr std::size_t kMost = 64U << 10;
  auto text = os::read_regular_file(path, kMost);
  return text ? std::move(text).value() : std::string{};
}

std::string small(const std::filesystem::path& path) {
  return read_small(path.native()).value_or("");
}

}  // namespace

IoBytes parse_io(std::string_view text) {
  IoBytes sum;
  for (const auto line : split(text, '\n')) {
    const auto words = split(line, ' ');
    constexpr std::size_t kWordsOfV1 = 3;
    if (words.size() == kWordsOfV1 && words[1] == "Read") sum.read += number(words[2]);
    if (words.size() == kWordsOfV1 && words[1] == "Write") sum.written += number(words[2]);
    sum.read += value_of(line, "rbytes", ' ', '=');
    sum.written += value_of(line, "wbytes", ' ', '=');
  }
  return sum;
}

double parse_waited_seconds(std::string_view text) {
  for (const auto line : split(text, '\n'))
    if (line.starts_with("some "))
      return static_cast<double>(value_of(line, "total", ' ', '=')) * kMicro;
  return 0;
}

void Cgroups::add_cpu(const std::string& group, GroupUsage& usage) const {
  const auto directory = controller("cpu", group);
  if (!directory) return;
  const auto stat = small(*directory / "cpu.stat");
  usage.cpu_periods = value_of(stat, "nr_periods");
  usage.cpu_throttled_periods = value_of(stat, "nr_throttled");
  if (unified()) {
    usage.cpu_seconds = static_cast<double>(value_of(stat, "usage_usec")) * kMicro;
    usage.cpu_throttled_seconds = static_cast<double>(value_of(stat, "throttled_usec")) * kMicro;
    const auto limit = small(*directory / "cpu.max");
    const auto blank = limit.find(' ');
    if (blank != std::string::npos)
      usage.cpu_limit = ratio(std::string_view{limit}.substr(0, blank),
                              std::string_view{limit}.substr(blank + 1));
    return;
  }
  if (const auto account = controller("cpuacct", group))
    usage.cpu_seconds = static_cast<double>(number(small(*account / "cpuacct.usage"))) * kNano;
  usage.cpu_throttled_seconds = static_cast<double>(value_of(stat, "throttled_time")) * kNano;
  usage.cpu_limit =
      ratio(small(*directory / "cpu.cfs_quota_us"), small(*directory / "cpu.cfs_period_us"));
}

void Cgroups::add_memory(const std::string& group, GroupUsage& usage) const {
  const auto directory = controller("memory", group);
  if (!directory) return;
  usage.memory_bytes =
      number(small(*directory / (unified() ? "memory.current" : "memory.usage_in_bytes")));
  usage.memory_limit_bytes =
      limit(small(*directory / (unified() ? "memory.max" : "memory.limit_in_bytes")));
  const auto idle = value_of(small(*directory / "memory.stat"),
                             unified() ? "inactive_file" : "total_inactive_file");
  usage.working_set_bytes = usage.memory_bytes - std::min(usage.memory_bytes, idle);
}

void Cgroups::add_waiting(const std::string& group, GroupUsage& usage) const {
  if (unified_.empty()) return;
  const std::filesystem::path directory{unified_.native() + group};
  const auto cpu = read_small((directory / "cpu.pressure").native());
  if (!cpu) return;
  usage.waiting = Waiting{parse_waited_seconds(*cpu),
                          parse_waited_seconds(small(directory / "memory.pressure")),
                          parse_waited_seconds(small(directory / "io.pressure"))};
}

std::optional<GroupUsage> Cgroups::usage(const std::string& group) const {
  const auto pids = controller("pids", group);
  const auto count = pids ? read_small((*pids / "pids.current").native()) : std::nullopt;
  if (!count) return std::nullopt;
  GroupUsage usage;
  usage.pids = number(*count);
  usage.pids_limit = limit(small(*pids / "pids.max"));
  add_cpu(group, usage);
  add_memory(group, usage);
  if (const auto io = controller(unified() ? "io" : "blkio", group)) {
    auto text =
        read_lines(*io / (unified() ? "io.stat" : "blkio.throttle.io_service_bytes_recursive"));
    const auto bytes = parse_io(text);
    usage.io_read_bytes = bytes.read;
    usage.io_written_bytes = bytes.written;
  }
  add_waiting(group, usage);
  return usage;
}

}  // namespace holdfast::deploy::runtime
