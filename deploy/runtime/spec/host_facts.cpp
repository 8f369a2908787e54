#include "deploy/runtime/spec/host_facts.hpp"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "common/base/text.hpp"
#include "common/os/file.hpp"

namespace holdfast::deploy::runtime {
namespace {

constexpr std::array<std::pair<std::string_view, __rlimit_resource_t>, 16> kRlimits{
    {{"as", RLIMIT_AS},
     {"core", RLIMIT_CORE},
     {"cpu", RLIMIT_CPU},
     {"data", RLIMIT_DATA},
     {"fsize", RLIMIT_FSIZE},
     {"locks", RLIMIT_LOCKS},
     {"memlock", RLIMIT_MEMLOCK},
     {"msgqueue", RLIMIT_MSGQUEUE},
     {"nice", RLIMIT_NICE},
     {"nofile", RLIMIT_NOFILE},
     {"nproc", RLIMIT_NPROC},
     {"rss", RLIMIT_RSS},
     {"rtprio", RLIMIT_RTPRIO},
     {"rttime", RLIMIT_RTTIME},
     {"sigpending", RLIMIT_SIGPENDING},
     {"stack", RLIMIT_STACK}}};

std::uint64_t effective_capabilities() {
  const auto status = os::read_regular_file("/proc/self/status", 64U << 10);
  const auto at = status ? status->find("CapEff:") : std::string::npos;
  return at == std::string::npos ? 0 : std::strtoull(status->c_str() + at + 7, nullptr, 16);
}

std::string limit_text(std::uint64_t value) {
  return value == proto::kUnlimited ? std::string{"unlimited"} : std::to_string(value);
}

/// "nofile" → "LimitNOFILE", as systemd.exec(5) has it.
std::string unit_setting(std::string_view name) {
  std::string out = "Limit";
  for (const char c : name) out += static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return out;
}

/// An interpreter is the dynamic loader, which an image need not have.
bool is_static_program(int fd) {
  Elf64_Ehdr head{};
  if (::pread(fd, &head, sizeof head, 0) != static_cast<ssize_t>(sizeof head)) return false;
  if (std::memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_ident[EI_CLASS] != ELFCLASS64 ||
      head.e_phentsize != sizeof(Elf64_Phdr))
    return false;
  for (std::size_t i = 0; i < head.e_phnum; ++i) {
    Elf64_Phdr part{};
    const auto at = static_cast<off_t>(head.e_phoff + i * sizeof part);
    if (::pread(fd, &part, sizeof part, at) != static_cast<ssize_t>(sizeof part)) return false;
    if (part.p_type == PT_INTERP) return false;
  }
  return true;
}

bool is_usable_init(const std::filesystem::path& path) {
  const auto file = os::open_file(path, O_RDONLY);
  struct stat info {};
  if (!file || ::fstat(file->get(), &info) != 0) return false;
  constexpr mode_t kOthersWrite = 022;
  constexpr mode_t kOthersRun = 05;
  return S_ISREG(info.st_mode) && info.st_uid == 0 && (info.st_mode & kOthersWrite) == 0 &&
         (info.st_mode & kOthersRun) == kOthersRun && is_static_program(file->get());
}

}  // namespace

HostFacts probe_host() {
  constexpr std::uint64_t kWantedFiles = 524'288;
  constexpr std::uint64_t kSysResource = std::uint64_t{1} << 24;
  HostFacts facts;
  for (const auto& [name, number] : kRlimits) {
    rlimit own{};
    ::getrlimit(number, &own);
    facts.own_limits[std::string{name}] =
        own.rlim_max == RLIM_INFINITY ? proto::kUnlimited : own.rlim_max;
  }
  facts.raises_limits = (effective_capabilities() & kSysResource) != 0;
  if (const auto text = os::read_regular_file("/proc/sys/fs/nr_open", 64))
    if (const auto number = parse_number(trim(*text))) facts.nr_open = *number;
  const auto own = facts.own_limits.at("nofile");
  facts.nofile_hard =
      std::min(kWantedFiles, facts.raises_limits ? std::max(own, facts.nr_open) : own);
  if (const auto score = os::read_regular_file("/proc/self/oom_score_adj", 64))
    facts.oom_score_adj = std::max(0, std::atoi(score->c_str()));
  return facts;
}

Status check_ulimits(const std::map<std::string, proto::Ulimit>& wanted, const HostFacts& facts) {
  for (const auto& [name, limit] : wanted) {
    if (name == "nofile" && limit.hard > facts.nr_open)
      return Error{Errc::host, fmt::format("ulimits.nofile is {}, and this host allows {} at most",
                                           limit_text(limit.hard), facts.nr_open)}
          .hint("write less, or raise fs.nr_open on the host (sysctl) and restart the agent");
    const auto own = facts.own_limits.find(name);
    if (facts.raises_limits || own == facts.own_limits.end() || limit.hard <= own->second) continue;
    return Error{Errc::host,
                 fmt::format("ulimits.{} is {}, and the agent itself has {} and may not raise it "
                             "(no CAP_SYS_RESOURCE)",
                             name, limit_text(limit.hard), limit_text(own->second))}
        .hint(fmt::format("write less, or start the agent with the capability or with {}=",
                          unit_setting(name)));
  }
  return ok();
}

std::vector<std::filesystem::path> known_inits() {
  return {"/usr/bin/catatonit", "/usr/libexec/podman/catatonit", "/usr/bin/tini-static",
          "/usr/bin/docker-init", "/usr/libexec/docker/docker-init"};
}

Result<std::filesystem::path> find_init(const std::vector<std::filesystem::path>& candidates) {
  const auto found = std::find_if(candidates.begin(), candidates.end(), is_usable_init);
  if (found != candidates.end()) return *found;
  return no_init();
}

Error no_init() {
  return Error{Errc::host, "init: true, and this host has no init for containers"}.hint(
      "apt install catatonit");
}

}  // namespace holdfast::deploy::runtime
