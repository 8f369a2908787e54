#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>

#include "agent/daemon/metrics_page.hpp"
#include "common/base/text.hpp"
#include "common/os/file.hpp"

namespace holdfast::agent::daemon {
namespace {

/// Fields of /proc/self/stat from the third on (proc(5)); [0] is the state.
std::vector<std::string> stat_fields() {
  const auto text = os::read_file("/proc/self/stat", 4096);
  std::vector<std::string> fields;
  if (!text) return fields;
  for (const auto field : split(std::string_view{*text}.substr(text->rfind(')') + 2), ' '))
    fields.emplace_back(field);
  return fields;
}

double field(const std::vector<std::string>& fields, std::size_t number_in_proc5) {
  if (fields.size() + 2 < number_in_proc5) return 0;
  const auto value = parse_number(trim(fields[number_in_proc5 - 3]));
  return value ? static_cast<double>(*value) : 0;
}

double boot_time() {
  const auto text = os::read_file("/proc/stat", 4U << 20);
  if (!text) return 0;
  const auto at = text->find("\nbtime ");
  if (at == std::string::npos) return 0;
  const auto value =
      parse_number(trim(std::string_view{*text}.substr(at + 7, text->find('\n', at + 1) - at - 7)));
  return value ? static_cast<double>(*value) : 0;
}

double open_files() {
  std::error_code failed;
  double count = 0;
  for (std::filesystem::directory_iterator it{"/proc/self/fd", failed}, end; !failed && it != end;
       it.increment(failed))
    ++count;
  return count > 0 ? count - 1 : 0;  // the one that lists
}

}  // namespace

void add_process_metrics(MetricsPage& page) {
  const auto fields = stat_fields();
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  static const double started = boot_time() + field(fields, 22) / ticks;
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  page.of("process_cpu_seconds_total").sample((field(fields, 14) + field(fields, 15)) / ticks);
  page.of("process_resident_memory_bytes")
      .sample(field(fields, 24) * static_cast<double>(sysconf(_SC_PAGESIZE)));
  page.of("process_virtual_memory_bytes").sample(field(fields, 23));
  page.of("process_open_fds").sample(open_files());
  page.of("process_max_fds").sample(static_cast<double>(files.rlim_cur));
  page.of("process_start_time_seconds").sample(started);
  page.of("process_threads").sample(field(fields, 20));
}

}  // namespace holdfast::agent::daemon
