#include "agent/daemon/socket_file.hpp"

#include <arpa/inet.h>
#include <endian.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "common/os/process.hpp"

namespace holdfast::agent::daemon {
namespace {

namespace fs = std::filesystem;
constexpr Milliseconds kStep{20};
constexpr int kBacklog = 1024;  // who floods it keeps nobody out: the others wait behind

Result<sockaddr_un> address_of(const fs::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const auto& text = path.native();
  if (text.empty() || text.size() >= sizeof(address.sun_path))
    return Error{Errc::usage, fmt::format("socket path {} is longer than {} bytes", text,
                                          sizeof(address.sun_path) - 1)};
  std::memcpy(address.sun_path, text.data(), text.size());
  return address;
}

Status check_directory(const fs::path& directory) {
  HF_TRY(os::make_directories(directory, 0755));
  struct stat info {};
  if (::stat(directory.c_str(), &info) != 0)
    return errno_error(errno, "stat " + directory.string());
  const bool ours = info.st_uid == 0 || info.st_uid == geteuid();
  const bool closed = (info.st_mode & 022U) == 0 || (info.st_mode & S_ISVTX) != 0;
  if (ours && closed) return ok();
  return Error{Errc::perm,
               fmt::format("{} can be written by others, who could put a socket of their own there",
                           directory.string())}
      .hint(fmt::format("chown root {0}; chmod 755 {0}", directory.string()));
}

bool somebody_answers(const sockaddr_un& address) {
  const os::UniqueFd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

Status clear_the_way(const fs::path& path, const sockaddr_un& address, Milliseconds patience) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0)
    return errno == ENOENT ? ok() : Status{errno_error(errno, "stat " + path.string())};
  if (!S_ISSOCK(info.st_mode))
    return Error{Errc::conflict, fmt::format("{} is there and is not a socket", path.string())}
        .hint("look at what it is and remove it, or set another \"socket\" in agent.yaml");
  if (info.st_uid != geteuid())
    return Error{Errc::conflict, fmt::format("{} belongs to uid {}", path.string(), info.st_uid)}
        .hint("find out who put it there and remove it");
  // A child that a killed agent was just starting has its descriptors until it runs its program.
  const SystemClock clock;
  const auto until = clock.boot() + patience;
  bool answered = somebody_answers(address);
  while (answered && clock.boot() < until) {
    (void)os::sleep_until(clock.boot() + kStep, {});
    answered = somebody_answers(address);
  }
  if (answered)
    return Error{Errc::busy, fmt::format("another program answers on {}", path.string())}.hint(
        "stop the other agent, or set another \"socket\" in agent.yaml");
  if (::unlink(path.c_str()) != 0) return errno_error(errno, "remove " + path.string());
  return ok();
}

/// POSIX access list: owner and the groups may read and write. The format is the kernel's
/// (linux/posix_acl_xattr.h).
Status allow_groups(const fs::path& path, std::vector<gid_t> groups) {
  struct Entry {
    std::uint16_t tag;
    std::uint16_t perm;
    std::uint32_t id;
  };
  constexpr std::uint16_t kUserObj = 1, kGroupObj = 4, kGroup = 8, kMask = 16, kOther = 32,
                          kReadWrite = 6;
  constexpr auto kNoId = std::numeric_limits<std::uint32_t>::max();
  std::sort(groups.begin(), groups.end());
  std::vector<Entry> entries{{kUserObj, kReadWrite, kNoId}, {kGroupObj, kReadWrite, kNoId}};
  for (const auto gid : groups) entries.push_back({kGroup, kReadWrite, gid});
  entries.push_back({kMask, kReadWrite, kNoId});
  entries.push_back({kOther, 0, kNoId});
  const auto put = [](std::string& out, auto value) {
    out.append(reinterpret_cast<const char*>(&value), sizeof(value));
  };
  std::string blob;
  put(blob, htole32(2));
  for (const auto& entry : entries) {
    put(blob, htole16(entry.tag));
    put(blob, htole16(entry.perm));
    put(blob, htole32(entry.id));
  }
  if (::setxattr(path.c_str(), "system.posix_acl_access", blob.data(), blob.size(), 0) == 0)
    return ok();
  return errno_error(errno, "set the access list of " + path.string());
}

Status open_to_groups(const fs::path& path, const std::vector<gid_t>& groups) {
  const gid_t group = groups.empty() ? static_cast<gid_t>(-1) : groups.front();
  if (!groups.empty() && ::lchown(path.c_str(), static_cast<uid_t>(-1), group) != 0)
    return errno_error(errno, "chgrp " + path.string());
  if (::chmod(path.c_str(), 0660) != 0) return errno_error(errno, "chmod " + path.string());
  return groups.size() > 1 ? allow_groups(path, groups) : ok();
}

}  // namespace

Result<SocketFile> SocketFile::listen(const fs::path& path, const std::vector<gid_t>& groups,
                                      Milliseconds patience) {
  HF_ASSIGN(const auto address, address_of(path));
  HF_TRY(check_directory(path.parent_path()));
  HF_TRY(clear_the_way(path, address, patience));
  os::UniqueFd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!fd) return errno_error(errno, "make a socket");
  // On Linux the file gets the mode of the socket: closed from its first instant, whatever the
  // umask.
  if (::fchmod(fd.get(), 0600) != 0) return errno_error(errno, "chmod a socket");
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return errno_error(errno, "bind " + path.string());
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return errno_error(errno, "stat " + path.string());
  SocketFile file{path, std::move(fd), info.st_ino};
  HF_TRY(open_to_groups(path, groups));
  if (::listen(file.fd(), kBacklog) != 0) return errno_error(errno, "listen on " + path.string());
  return file;
}

SocketFile::SocketFile(SocketFile&& other) noexcept
    : path_(std::exchange(other.path_, {})), fd_(std::move(other.fd_)), inode_(other.inode_) {}

SocketFile& SocketFile::operator=(SocketFile&& other) noexcept {
  if (this != &other) {
    remove();
    path_ = std::exchange(other.path_, {});
    fd_ = std::move(other.fd_);
    inode_ = other.inode_;
  }
  return *this;
}

SocketFile::~SocketFile() { remove(); }

bool SocketFile::in_place() const {
  struct stat info {};
  return !path_.empty() && ::lstat(path_.c_str(), &info) == 0 && S_ISSOCK(info.st_mode) &&
         info.st_ino == inode_;
}

void SocketFile::remove() {
  if (in_place()) ::unlink(path_.c_str());
}

Result<os::UniqueFd> listen_tcp(const std::string& address) {
  const auto colon = address.rfind(':');
  const auto port = colon == std::string::npos
                        ? Result<std::uint64_t>{Error{Errc::usage, ""}}
                        : parse_number(std::string_view{address}.substr(colon + 1));
  auto host = address.substr(0, colon == std::string::npos ? 0 : colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  v4.sin_family = AF_INET;
  v6.sin6_family = AF_INET6;
  const bool is_v4 = !bracketed && inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1;
  const bool is_v6 = bracketed && inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) == 1;
  if (!port || *port > 65535 || (!is_v4 && !is_v6))
    return Error{Errc::usage,
                 fmt::format("metrics_listen \"{}\" is not an address like 127.0.0.1:9472",
                             printable(address))};
  v4.sin_port = v6.sin6_port = htons(static_cast<std::uint16_t>(*port));

  os::UniqueFd fd{
      ::socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!fd) return errno_error(errno, "make a socket");
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  const auto* where =
      is_v4 ? reinterpret_cast<const sockaddr*>(&v4) : reinterpret_cast<const sockaddr*>(&v6);
  const socklen_t size = is_v4 ? sizeof(v4) : sizeof(v6);
  if (::bind(fd.get(), where, size) != 0 || ::listen(fd.get(), kBacklog) != 0)
    return errno_error(errno, "listen on " + address)
        .hint(
            "find the program with ss -tlnp, or set another \"metrics_listen\" in agent.yaml "
            "(empty: off)");
  return fd;
}

}  // namespace holdfast::agent::daemon
