#include "tests/support/faults/verdict.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace holdfast::test::faults {
namespace {

// include/uapi/linux/fs.h does not have them: fs/ext4/ext4.h, fs/xfs/libxfs/xfs_fs.h.
constexpr unsigned long kShutdown = 0x8004587D;
constexpr std::uint32_t kWithoutLogFlush = 2;
constexpr int kWrongPlan = 64;

Plan plan;
Report* shared = nullptr;
char preload_variable[kPathBytes];
char plan_variable[2 * kPathBytes];
/// A confined child sees no /proc: there its own name stands for every path.
char stand_in[64];
bool is_child = false;

[[noreturn]] void refuse(std::string_view what, std::string_view which) {
  for (const auto part :
       {std::string_view{"HOLDFAST_FAULTS: "}, what, which, std::string_view{"\n"}})
    (void)!::syscall(SYS_write, STDERR_FILENO, part.data(), part.size());
  ::_exit(kWrongPlan);
}

bool is_below(std::string_view path) {
  if (is_child) return true;
  for (std::size_t i = 0; i < plan.below_count; ++i) {
    if (path.starts_with(plan.below[i])) return true;
  }
  return false;
}

void list(Call call, std::string_view path) {
  char line[kPathBytes + 16];
  const auto name = to_string(call);
  const auto size = name.size() + path.size() + 2;
  if (size > sizeof line) return;
  std::memcpy(line, name.data(), name.size());
  line[name.size()] = ' ';
  std::memcpy(line + name.size() + 1, path.data(), path.size());
  line[size - 1] = '\n';
  const auto at = shared->listed.fetch_add(size);
  if (at + size <= kListBytes) std::memcpy(shared->list + at, line, size);
}

void cut_the_power() {
  char directory[kPathBytes];
  const auto where = plan.below_count > 0 ? plan.below[0] : std::string_view{};
  const auto size = where.copy(directory, sizeof directory - 1);
  directory[size] = '\0';
  const auto fd = ::syscall(SYS_openat, AT_FDCWD, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  auto how = kWithoutLogFlush;
  if (fd < 0 || ::syscall(SYS_ioctl, fd, kShutdown, &how) != 0)
    refuse("cannot cut the power of ", where);
}

void pause(int milliseconds) {
  timespec rest{milliseconds / 1000, (milliseconds % 1000) * 1'000'000L};
  (void)::nanosleep(&rest, nullptr);
}

void act(const Rule& rule, Verdict& verdict) {
  shared->reached.fetch_add(1);
  switch (rule.action) {
    case Action::kill_before:
      die();
    case Action::cut_before:
      cut_the_power();
      die();
    case Action::kill_after:
      verdict.end_after = true;
      break;
    case Action::cut_after:
      verdict.cut_after = verdict.end_after = true;
      break;
    case Action::torn:
      verdict.torn = verdict.end_after = true;
      break;
    case Action::delay:
      pause(rule.value);
      break;
    case Action::fail:
      verdict.error = rule.value;
      break;
  }
}

Report* map_report(std::string_view file) {
  char path[kPathBytes];
  path[file.copy(path, sizeof path - 1)] = '\0';
  const auto fd =
      static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (fd < 0 || (::lseek(fd, 0, SEEK_END) < static_cast<off_t>(sizeof(Report)) &&
                 ::syscall(SYS_ftruncate, fd, sizeof(Report)) != 0))
    refuse("cannot open the report ", file);
  void* at = ::mmap(nullptr, sizeof(Report), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  if (at == MAP_FAILED) refuse("cannot map the report ", file);
  return static_cast<Report*>(at);
}

void keep(char* to, std::size_t size, std::string_view name, std::string_view value) {
  if (name.size() + value.size() >= size) refuse("too long: ", name);
  std::memcpy(to, name.data(), name.size());
  to[name.size() + value.copy(to + name.size(), value.size())] = '\0';
}

/// In a program that is started with the library.
[[gnu::constructor]] void begin() {
  const char* text = std::getenv("HOLDFAST_FAULTS");
  if (text == nullptr) return;
  install(text, nullptr);
  const std::string_view name{program_invocation_short_name};
  is_child = !plan.child.empty() && name.starts_with(plan.child);
  if (is_child) stand_in[name.copy(stand_in, sizeof stand_in - 1)] = '\0';
}

}  // namespace

void install(std::string_view text, Report* report) {
  std::string_view problem;
  const auto wanted = parse_plan(text, problem);
  if (!problem.empty()) refuse("not understood: ", problem);
  if (report == nullptr && wanted.report.empty()) refuse("no report= in ", text);
  plan = wanted;
  const char* preloaded = std::getenv("LD_PRELOAD");
  if (plan.preload.empty() && preloaded != nullptr) plan.preload = preloaded;
  keep(preload_variable, sizeof preload_variable, "LD_PRELOAD=", plan.preload);
  keep(plan_variable, sizeof plan_variable, "HOLDFAST_FAULTS=", text);
  shared = report != nullptr ? report : map_report(plan.report);
}

bool watching() { return shared != nullptr && shared->armed.load() != 0; }

Verdict before(Call call, const char* path) {
  Verdict verdict;
  if (path == nullptr || !is_below(path)) return verdict;
  shared->points.fetch_add(1);
  list(call, path);
  for (std::size_t i = 0; i < plan.rule_count; ++i) {
    const auto& rule = plan.rules[i];
    if (rule.call != Call::any && rule.call != call) continue;
    if (std::string_view{path}.find(rule.text) == std::string_view::npos) continue;
    const auto number = shared->counts[i].fetch_add(1) + 1;
    const auto set = shared->numbers[i].load();
    const auto wanted = set == 0 ? rule.number : set;
    if (number == wanted || (rule.and_after && number > wanted)) act(rule, verdict);
  }
  return verdict;
}

void after(const Verdict& verdict) {
  if (verdict.cut_after) cut_the_power();
  if (verdict.end_after) die();
}

void die() {
  // tgkill: what a confined child may still call. SIGKILL to one thread ends them all.
  for (;;) ::syscall(SYS_tgkill, ::getpid(), ::syscall(SYS_gettid), SIGKILL);
}

const char* path_of(int fd, char* buffer) {
  if (is_child) {  // its pipes are no disk
    struct stat info {};
    return ::fstat(fd, &info) == 0 && (S_ISREG(info.st_mode) || S_ISDIR(info.st_mode)) ? stand_in
                                                                                       : nullptr;
  }
  char link[32] = "/proc/self/fd/";
  char digits[12];
  std::size_t count = 0;
  if (fd < 0) return nullptr;
  for (int rest = fd; count == 0 || rest > 0; rest /= 10)
    digits[count++] = static_cast<char>('0' + rest % 10);
  std::size_t end = std::strlen(link);
  while (count > 0) link[end++] = digits[--count];
  link[end] = '\0';
  const auto size = ::syscall(SYS_readlinkat, AT_FDCWD, link, buffer, kPathBytes - 1);
  if (size <= 0 || buffer[0] != '/') return nullptr;
  buffer[size] = '\0';
  return buffer;
}

const char* path_at(int directory, const char* name, char* buffer) {
  if (is_child) return stand_in;
  if (name == nullptr) return nullptr;
  if (name[0] == '/') return name;
  std::size_t have = 0;
  if (directory == AT_FDCWD) {
    const auto size = ::syscall(SYS_getcwd, buffer, kPathBytes - 1);
    if (size <= 0) return nullptr;
    have = static_cast<std::size_t>(size) - 1;
  } else {
    if (path_of(directory, buffer) == nullptr) return nullptr;
    have = std::strlen(buffer);
  }
  const auto more = std::strlen(name);
  if (have + more + 2 > kPathBytes) return nullptr;
  buffer[have] = '/';
  std::memcpy(buffer + have + 1, name, more + 1);
  return buffer;
}

std::int64_t clock_offset(int clock) {
  if (shared == nullptr) return 0;
  if (clock == CLOCK_BOOTTIME) return shared->boot_ns.load();
  return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE ? shared->clock_ns.load() : 0;
}

Passed passed_to(const char* program) {
  if (shared == nullptr || plan.child.empty() || program == nullptr) return {};
  const std::string_view name{program};
  if (!name.substr(name.rfind('/') + 1).starts_with(plan.child)) return {};
  return {preload_variable, plan_variable};
}

}  // namespace holdfast::test::faults
