#include "deploy/runtime/spec/confinement.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <string>

#include "common/base/text.hpp"
#include "common/os/file.hpp"

namespace holdfast::deploy::runtime {
namespace {

std::string field(std::string_view status, std::string_view name) {
  for (const auto line : split(status, '\n'))
    if (line.starts_with(name) && line.size() > name.size() && line[name.size()] == ':')
      return std::string{trim(line.substr(name.size() + 1))};
  return {};
}

Status expect(std::string_view status, std::string_view name, std::string_view wanted) {
  const auto is = field(status, name);
  if (is == wanted) return ok();
  return Error{
      Errc::runtime,
      fmt::format("the container is not confined as asked: {} is {}, not {}", name, is, wanted)}
      .hint("check the OCI runtime: holdfast doctor");
}

}  // namespace

Status check_confinement_text(std::string_view status, const Confinement& wanted) {
  const auto bounding = fmt::format("{:016x}", wanted.bounding);
  const auto ambient = fmt::format("{:016x}", wanted.ambient);
  // The runtime's init has put on, by now, exactly what the program will have: execve(2) gives root
  // its bounding set and others what is ambient.
  const auto& effective = wanted.uid == 0 ? bounding : ambient;
  HF_TRY(expect(status, "CapBnd", bounding));
  HF_TRY(expect(status, "CapInh", ambient));
  HF_TRY(expect(status, "CapAmb", ambient));
  HF_TRY(expect(status, "CapPrm", effective));
  HF_TRY(expect(status, "CapEff", effective));
  HF_TRY(expect(status, "NoNewPrivs", wanted.no_new_privileges ? "1" : "0"));
  if (wanted.seccomp) HF_TRY(expect(status, "Seccomp", "2"));
  return ok();
}

Status check_confinement(pid_t pid, const Confinement& wanted) {
  HF_ASSIGN(const auto status,
            os::read_regular_file(fmt::format("/proc/{}/status", pid), 64U << 10));
  return check_confinement_text(status, wanted);
}

}  // namespace holdfast::deploy::runtime
