// The calls themselves, in place of those of the C library: in a program that is started with this
// library (LD_PRELOAD), or in one that it is linked into. Each does the system call of its name.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <ctime>

#include "tests/support/faults/verdict.hpp"

namespace {

using namespace holdfast::test::faults;

template <class Real>
long pass(Call call, const char* path, const Real& real) {
  const auto verdict = before(call, path);
  if (verdict.error != 0) {
    errno = verdict.error;
    return -1;
  }
  const long result = real(verdict);
  const int error = errno;
  after(verdict);
  errno = error;
  return result;
}

template <class Real>
int on_fd(Call call, int fd, const Real& real) {
  if (!watching()) return static_cast<int>(real());
  char buffer[kPathBytes];
  return static_cast<int>(pass(call, path_of(fd, buffer), [&](const Verdict&) { return real(); }));
}

template <class Real>
int on_path(Call call, int directory, const char* name, const Real& real) {
  if (!watching()) return static_cast<int>(real());
  char buffer[kPathBytes];
  return static_cast<int>(
      pass(call, path_at(directory, name, buffer), [&](const Verdict&) { return real(); }));
}

template <class Real>
ssize_t on_write(int fd, std::size_t size, const Real& real) {
  if (!watching()) return real(size);
  char buffer[kPathBytes];
  return pass(Call::write, path_of(fd, buffer),
              [&](const Verdict& verdict) { return real(verdict.torn ? size / 2 : size); });
}

int open_at(int directory, const char* path, int flags, mode_t mode) {
  const auto real = [&] { return ::syscall(SYS_openat, directory, path, flags, mode); };
  if ((flags & (O_CREAT | O_TRUNC)) == 0) return static_cast<int>(real());
  return on_path(Call::create, directory, path, real);
}

mode_t mode_of(int flags, va_list arguments) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
}

/// The C library's own, where it is more than one system call.
template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

int rename_at(int from_directory, const char* from, int to_directory, const char* to,
              unsigned flags) {
  return on_path(Call::rename, to_directory, to, [&] {
    return ::syscall(SYS_renameat2, from_directory, from, to_directory, to, flags);
  });
}

int unlink_at(int directory, const char* path, int flags) {
  return on_path(Call::unlink, directory, path,
                 [&] { return ::syscall(SYS_unlinkat, directory, path, flags); });
}

}  // namespace

#define HOLDFAST_CALL extern "C" [[gnu::visibility("default")]]

HOLDFAST_CALL int fsync(int fd) {
  return on_fd(Call::sync, fd, [&] { return ::syscall(SYS_fsync, fd); });
}
HOLDFAST_CALL int fdatasync(int fd) {
  return on_fd(Call::sync, fd, [&] { return ::syscall(SYS_fdatasync, fd); });
}
HOLDFAST_CALL int syncfs(int fd) noexcept {
  return on_fd(Call::sync, fd, [&] { return ::syscall(SYS_syncfs, fd); });
}

HOLDFAST_CALL ssize_t write(int fd, const void* data, std::size_t size) {
  return on_write(fd, size, [&](std::size_t n) { return ::syscall(SYS_write, fd, data, n); });
}
HOLDFAST_CALL ssize_t pwrite(int fd, const void* data, std::size_t size, off_t at) {
  return on_write(fd, size,
                  [&](std::size_t n) { return ::syscall(SYS_pwrite64, fd, data, n, at); });
}
HOLDFAST_CALL ssize_t pwrite64(int fd, const void* data, std::size_t size, off64_t at) {
  return on_write(fd, size,
                  [&](std::size_t n) { return ::syscall(SYS_pwrite64, fd, data, n, at); });
}
HOLDFAST_CALL ssize_t writev(int fd, const iovec* parts, int count) {
  return on_fd(Call::write, fd, [&] { return ::syscall(SYS_writev, fd, parts, count); });
}

HOLDFAST_CALL int ftruncate(int fd, off_t size) noexcept {
  return on_fd(Call::truncate, fd, [&] { return ::syscall(SYS_ftruncate, fd, size); });
}
HOLDFAST_CALL int ftruncate64(int fd, off64_t size) noexcept {
  return on_fd(Call::truncate, fd, [&] { return ::syscall(SYS_ftruncate, fd, size); });
}
/// Gives the error's number, and leaves errno alone.
HOLDFAST_CALL int posix_fallocate(int fd, off_t at, off_t size) {
  const int failed = on_fd(Call::truncate, fd, [&] {
    const int error = next<int(int, off_t, off_t)>("posix_fallocate")(fd, at, size);
    errno = error;
    return error == 0 ? 0 : -1;
  });
  return failed == 0 ? 0 : errno;
}
HOLDFAST_CALL int posix_fallocate64(int fd, off64_t at, off64_t size) {
  return posix_fallocate(fd, at, size);
}
HOLDFAST_CALL int fallocate(int fd, int mode, off_t at, off_t size) {
  return on_fd(Call::truncate, fd, [&] { return ::syscall(SYS_fallocate, fd, mode, at, size); });
}

HOLDFAST_CALL int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const auto mode = mode_of(flags, arguments);
  va_end(arguments);
  return open_at(AT_FDCWD, path, flags, mode);
}
HOLDFAST_CALL int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const auto mode = mode_of(flags, arguments);
  va_end(arguments);
  return open_at(AT_FDCWD, path, flags, mode);
}
HOLDFAST_CALL int openat(int directory, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const auto mode = mode_of(flags, arguments);
  va_end(arguments);
  return open_at(directory, path, flags, mode);
}
HOLDFAST_CALL int openat64(int directory, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const auto mode = mode_of(flags, arguments);
  va_end(arguments);
  return open_at(directory, path, flags, mode);
}
// What the headers make of them under _FORTIFY_SOURCE when no mode is given.
HOLDFAST_CALL int __open_2(const char* path, int flags) {
  return open_at(AT_FDCWD, path, flags, 0);
}
HOLDFAST_CALL int __open64_2(const char* path, int flags) {
  return open_at(AT_FDCWD, path, flags, 0);
}
HOLDFAST_CALL int __openat_2(int directory, const char* path, int flags) {
  return open_at(directory, path, flags, 0);
}
HOLDFAST_CALL int __openat64_2(int directory, const char* path, int flags) {
  return open_at(directory, path, flags, 0);
}
HOLDFAST_CALL int mkostemp(char* pattern, int flags) {
  return on_path(Call::create, AT_FDCWD, pattern,
                 [&] { return next<int(char*, int)>("mkostemp")(pattern, flags); });
}
HOLDFAST_CALL int mkostemp64(char* pattern, int flags) { return mkostemp(pattern, flags); }
HOLDFAST_CALL char* mkdtemp(char* pattern) noexcept {
  const int failed = on_path(Call::mkdir, AT_FDCWD, pattern, [&] {
    return next<char*(char*)>("mkdtemp")(pattern) == nullptr ? -1 : 0;
  });
  return failed == 0 ? pattern : nullptr;
}

HOLDFAST_CALL int rename(const char* from, const char* to) noexcept {
  return rename_at(AT_FDCWD, from, AT_FDCWD, to, 0);
}
HOLDFAST_CALL int renameat(int from_directory, const char* from, int to_directory,
                           const char* to) noexcept {
  return rename_at(from_directory, from, to_directory, to, 0);
}
HOLDFAST_CALL int renameat2(int from_directory, const char* from, int to_directory, const char* to,
                            unsigned flags) noexcept {
  return rename_at(from_directory, from, to_directory, to, flags);
}
HOLDFAST_CALL int unlink(const char* path) noexcept { return unlink_at(AT_FDCWD, path, 0); }
HOLDFAST_CALL int unlinkat(int directory, const char* path, int flags) noexcept {
  return unlink_at(directory, path, flags);
}
HOLDFAST_CALL int rmdir(const char* path) noexcept {
  return unlink_at(AT_FDCWD, path, AT_REMOVEDIR);
}
HOLDFAST_CALL int remove(const char* path) noexcept {
  const int done = unlink_at(AT_FDCWD, path, 0);
  return done != 0 && errno == EISDIR ? unlink_at(AT_FDCWD, path, AT_REMOVEDIR) : done;
}
HOLDFAST_CALL int link(const char* from, const char* to) noexcept {
  return on_path(Call::link, AT_FDCWD, to,
                 [&] { return ::syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0); });
}
HOLDFAST_CALL int linkat(int from_directory, const char* from, int to_directory, const char* to,
                         int flags) noexcept {
  return on_path(Call::link, to_directory, to, [&] {
    return ::syscall(SYS_linkat, from_directory, from, to_directory, to, flags);
  });
}
HOLDFAST_CALL int symlink(const char* target, const char* path) noexcept {
  return on_path(Call::link, AT_FDCWD, path,
                 [&] { return ::syscall(SYS_symlinkat, target, AT_FDCWD, path); });
}
HOLDFAST_CALL int symlinkat(const char* target, int directory, const char* path) noexcept {
  return on_path(Call::link, directory, path,
                 [&] { return ::syscall(SYS_symlinkat, target, directory, path); });
}
HOLDFAST_CALL int mkdir(const char* path, mode_t mode) noexcept {
  return on_path(Call::mkdir, AT_FDCWD, path,
                 [&] { return ::syscall(SYS_mkdirat, AT_FDCWD, path, mode); });
}
HOLDFAST_CALL int mkdirat(int directory, const char* path, mode_t mode) noexcept {
  return on_path(Call::mkdir, directory, path,
                 [&] { return ::syscall(SYS_mkdirat, directory, path, mode); });
}

HOLDFAST_CALL int clock_gettime(clockid_t clock, timespec* time) noexcept {
  const auto result = static_cast<int>(::syscall(SYS_clock_gettime, clock, time));
  const auto more = clock_offset(clock);
  if (result != 0 || more == 0) return result;
  constexpr std::int64_t kSecond = 1'000'000'000;
  const auto whole = time->tv_sec * kSecond + time->tv_nsec + more;
  *time = {whole / kSecond, whole % kSecond};
  return 0;
}
HOLDFAST_CALL int gettimeofday(timeval* time, void*) noexcept {
  timespec now{};
  (void)clock_gettime(CLOCK_REALTIME, &now);
  *time = {now.tv_sec, now.tv_nsec / 1000};
  return 0;
}
HOLDFAST_CALL time_t time(time_t* out) noexcept {
  timespec now{};
  (void)clock_gettime(CLOCK_REALTIME, &now);
  if (out != nullptr) *out = now.tv_sec;
  return now.tv_sec;
}

/// A child that is watched too gets the library and the plan, whatever its environment is to be.
HOLDFAST_CALL int execve(const char* program, char* const argv[], char* const env[]) noexcept {
  constexpr std::size_t kMost = 64;
  const auto passed = passed_to(program);
  if (passed.plan == nullptr) return static_cast<int>(::syscall(SYS_execve, program, argv, env));
  const char* variables[kMost] = {passed.preload, passed.plan};
  std::size_t count = 2;
  for (; env != nullptr && *env != nullptr && count + 1 < kMost; ++env) variables[count++] = *env;
  variables[count] = nullptr;
  return static_cast<int>(::syscall(SYS_execve, program, argv, variables));
}
