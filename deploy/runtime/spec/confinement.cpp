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
  const auto mask = fmt::format("{:016x}", wanted.capabilities);
  const std::string none(16, '0');
  HF_TRY(expect(status, "CapBnd", mask));
  HF_TRY(expect(status, "CapInh", none));
  HF_TRY(expect(status, "CapAmb", none));
  // A user other than root has the bounding set only for what it executes: nothing is in effect.
  HF_TRY(expect(status, "CapEff", wanted.uid == 0 ? mask : none));
  HF_TRY(expect(status, "NoNewPrivs", wanted.no_new_privileges ? "1" : "0"));
  if (wanted.seccomp) HF_TRY(expect(status, "Seccomp", "2"));
  return ok();
}

Status check_confinement(pid_t pid, const Confinement& wanted) {
  HF_ASSIGN(const auto status, os::read_file(fmt::format("/proc/{}/status", pid), 64U << 10));
  return check_confinement_text(status, wanted);
}

}  // namespace holdfast::deploy::runtime
