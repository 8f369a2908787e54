#include "tests/support/faults/life.hpp"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace holdfast::test::faults {
namespace {

struct Shared {
  Report report;
  Told told;
};

Report* of_this_child = nullptr;

/// A file of memory, so that programs that the child executes can map it too. What the life before
/// told is forgotten.
class Memory {
 public:
  Memory() : fd_(::memfd_create("faults", MFD_CLOEXEC)) {
    if (fd_ < 0 || ::ftruncate(fd_, sizeof(Shared)) != 0) std::abort();
    void* at = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
    if (at == MAP_FAILED) std::abort();
    shared_ = static_cast<Shared*>(at);
  }
  Shared& forgetful() {
    auto& report = shared_->report;
    report.points = report.reached = report.armed = report.listed = 0;
    report.clock_ns = report.boot_ns = 0;
    for (auto& count : report.counts) count = 0;
    for (auto& number : report.numbers) number = 0;
    shared_->told.acknowledged = shared_->told.step = 0;
    shared_->told.words[0] = '\0';
    return *shared_;
  }
  [[nodiscard]] std::string path() const {
    return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(fd_);
  }

 private:
  int fd_;
  Shared* shared_;
};

[[noreturn]] void be_the_child(const std::string& plan, Shared& shared,
                               const std::function<int(Told&)>& work) {
  constexpr unsigned kMostSeconds = 60;
  ::alarm(kMostSeconds);
  of_this_child = &shared.report;
  install(plan, &shared.report);
  shared.report.armed = 1;
  const int code = work(shared.told);
  shared.report.armed = 0;
  ::_exit(code);
}

std::string last_line(const Report& report) {
  const auto size = std::min<std::size_t>(report.listed.load(), kListBytes);
  std::string_view text{report.list, size};
  if (text.ends_with('\n')) text.remove_suffix(1);
  return std::string{text.substr(text.rfind('\n') + 1)};
}

}  // namespace

void Told::say(std::string_view text) {
  if (words[0] == '\0') words[text.copy(words, sizeof words - 1)] = '\0';
}

void disarm() {
  if (of_this_child != nullptr) of_this_child->armed = 0;
}

void arm() {
  if (of_this_child != nullptr) of_this_child->armed = 1;
}

Life live(const std::string& plan, const std::function<int(Told&)>& work) {
  static Memory memory;
  auto& shared = memory.forgetful();
  const auto whole = plan + ";report=" + memory.path();
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) std::abort();
  if (child == 0) be_the_child(whole, shared, work);
  int status = 0;
  if (::waitpid(child, &status, 0) != child) std::abort();
  Life life{.reached = shared.report.reached > 0,
            .killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
            .code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
            .points = shared.report.points,
            .acknowledged = shared.told.acknowledged,
            .step = shared.told.step,
            .words = shared.told.words,
            .last = last_line(shared.report)};
  if (WIFSIGNALED(status) && !life.killed)
    life.words += " ended by signal " + std::to_string(WTERMSIG(status));
  return life;
}

}  // namespace holdfast::test::faults
