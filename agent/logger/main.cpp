// holdfast-log: writes down what a service says, in two files that never grow beyond their bound.
// It stands between conmon and the disk and outlives the agent as conmon does (README.md).
//
// usage: holdfast-log LOG MAX_BYTES COUNT_FILE
// 0: one byte to begin, or the end of the agent · 1: gets the pid of the process that stays ·
// 3: the reading end of the FIFO that conmon writes to

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "agent/logger/rotating_file.hpp"

namespace {

constexpr int kFifo = 3;
constexpr int kPipeBytes = 1 << 20;  ///< a writer that is faster than the disk waits only then
constexpr std::size_t kChunk = 256U << 10;

/// A number in a file that is replaced by its next value: few digits, so no reader sees half of it.
class CountFile {
 public:
  explicit CountFile(const char* path)
      : fd_(::open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) {
    std::array<char, 32> text{};
    if (fd_ >= 0 && ::pread(fd_, text.data(), text.size() - 1, 0) > 0)
      before_ = std::strtoull(text.data(), nullptr, 10);
  }
  void set(std::uint64_t count) {
    if (count == last_) return;
    last_ = count;
    std::array<char, 32> text{};
    const int length = std::snprintf(text.data(), text.size(), "%020llu\n",
                                     static_cast<unsigned long long>(before_ + count));
    if (fd_ >= 0) (void)!::pwrite(fd_, text.data(), static_cast<std::size_t>(length), 0);
  }

 private:
  int fd_;
  std::uint64_t before_ = 0;  ///< of earlier processes of the instance
  std::uint64_t last_ = 0;
};

/// Until every writer has closed the FIFO; a FIFO that no writer has opened yet is waited for.
int copy(const char* log, std::uint64_t max_bytes, const char* count_path) {
  holdfast::agent::logger::RotatingFile file{log, max_bytes};
  CountFile count{count_path};
  static std::array<char, kChunk> buffer;
  for (;;) {
    pollfd waiting{kFifo, POLLIN, 0};
    if (::poll(&waiting, 1, -1) < 0 && errno != EINTR) return EXIT_FAILURE;
    const ssize_t got = ::read(kFifo, buffer.data(), buffer.size());
    if (got > 0) {
      file.write({buffer.data(), static_cast<std::size_t>(got)});
      count.set(file.dropped_bytes());
    } else if (got == 0) {
      return EXIT_SUCCESS;
    } else if (errno != EAGAIN && errno != EINTR) {
      return EXIT_FAILURE;
    }
  }
}

void leave_the_agent() {
  ::setsid();
  const int null = ::open("/dev/null", O_RDWR);
  for (const int fd : {0, 1, 2}) ::dup2(null, fd);
  if (null > kFifo) ::close(null);
  if (::chdir("/") != 0) ::_exit(EXIT_FAILURE);
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t max_bytes = 0;
  if (argc != 4 ||
      std::from_chars(argv[2], argv[2] + std::strlen(argv[2]), max_bytes).ec != std::errc{} ||
      max_bytes == 0) {
    std::fputs("usage: holdfast-log LOG MAX_BYTES COUNT_FILE (started by holdfastd)\n", stderr);
    return EXIT_FAILURE;
  }
  char begin = 0;
  if (::read(0, &begin, 1) != 1) return EXIT_FAILURE;  // its control group is set by now
  ::signal(SIGPIPE, SIG_IGN);
  ::fcntl(kFifo, F_SETPIPE_SZ, kPipeBytes);  // refused where users have a smaller quota
  const pid_t stays = ::fork();
  if (stays < 0) return EXIT_FAILURE;
  if (stays == 0) {
    leave_the_agent();
    return copy(argv[1], max_bytes, argv[3]);
  }
  std::printf("%d\n", stays);
  return EXIT_SUCCESS;
}
