// Programs the agent calls.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <array>

#include "agent/cli/doctor/checks.hpp"
#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "common/os/process.hpp"
#include "deploy/runtime/host/conmon.hpp"
#include "deploy/runtime/host/oci_runtime.hpp"
#include "deploy/runtime/host/runtime_version.hpp"
#include "deploy/runtime/spec/etc_files.hpp"
#include "deploy/runtime/spec/host_facts.hpp"

namespace holdfast::agent::cli {
namespace {

constexpr Milliseconds kProgramTimeout{5'000};

Result<os::RunResult> run_program(std::vector<std::string> argv, std::string input) {
  return os::run({.spawn = {.argv = std::move(argv),
                            .env = {os::kChildPath},
                            .directory = "/",
                            .new_session = true},
                  .input = std::move(input),
                  .timeout = kProgramTimeout,
                  .output_limit = 16U << 10});
}

Finding failed(std::string check, const Error& error) {
  return {std::move(check), Verdict::fail, error.what(), error.next_step()};
}

bool is_unified() { return ::access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0; }

}  // namespace

Finding check_runtime(const proto::AgentConfig& config) {
  const auto scratch = os::TempDir::create("/tmp", "holdfast-doctor");
  if (!scratch) return failed("runtime", scratch.error());
  const auto runtime =
      deploy::runtime::OciRuntime::probe(config.runtime, scratch->path(), is_unified());
  if (!runtime) return failed("runtime", runtime.error());
  auto what = fmt::format("{} ({})", runtime->version(), runtime->program());
  const auto open = deploy::runtime::known_vulnerabilities(runtime->version());
  if (open.empty()) return {"runtime", Verdict::ok, std::move(what), {}};
  return {"runtime", Verdict::warn,
          fmt::format("{}: a container can reach the host by {}", what, fmt::join(open, ", ")),
          "upgrade it; a distribution may have mended them under the same number: see its security "
          "tracker"};
}

Finding check_conmon() {
  const auto version = deploy::runtime::probe_conmon();
  if (!version) return failed("conmon", version.error());
  return {"conmon", Verdict::ok, *version, {}};
}

Finding check_init() {
  const auto init = deploy::runtime::find_init();
  if (init) return {"init", Verdict::ok, init->string(), {}};
  return {"init", Verdict::warn, "none for containers: services with init: true do not start",
          init.error().next_step()};
}

Finding check_cni(const proto::AgentConfig& config) {
  std::string missing;
  for (const char* plugin : {"ptp", "host-local", "loopback", "firewall"}) {
    if (::access((config.cni_dir / plugin).c_str(), X_OK) != 0)
      missing += fmt::format("{}{}", missing.empty() ? "" : ", ", plugin);
  }
  if (missing.empty()) return {"cni plugins", Verdict::ok, config.cni_dir.string(), {}};
  return {"cni plugins", Verdict::fail,
          fmt::format("{} missing in {}", missing, config.cni_dir.string()),
          "apt install containernetworking-plugins, or set cni_dir in agent.yaml"};
}

Finding check_nft() {
  constexpr const char* kRules =
      "table ip holdfast_doctor {\n"
      "  map published { type inet_proto . inet_service : ipv4_addr . inet_service; }\n"
      "  chain prerouting { type nat hook prerouting priority dstnat; policy accept; }\n"
      "}\n";
  const auto checked = run_program({"nft", "-c", "-f", "-"}, kRules);
  if (!checked) return {"nftables", Verdict::fail, checked.error().what(), "apt install nftables"};
  if (os::succeeded(checked->status))
    return {"nftables", Verdict::ok, "nat chains and maps can be loaded", {}};
  const auto why = printable(trim(split(checked->err, '\n').front()));
  if (::geteuid() != 0)
    return {"nftables", Verdict::warn, "cannot be checked: " + why,
            "run \"holdfast doctor\" as root"};
  return {"nftables", Verdict::fail, why,
          "load the kernel modules nf_tables and nft_chain_nat (modprobe nft_chain_nat)"};
}

Finding check_names() {
  const auto names = deploy::runtime::host_resolv();
  if (names.has_server) return {"names", Verdict::ok, "containers get the host's name servers", {}};
  return {
      "names", Verdict::warn,
      "every name server of /etc/resolv.conf listens on loopback, which containers do not reach: "
      "they have none",
      "let the resolver listen on an address of the host too and name that one in "
      "/etc/resolv.conf, or use network: host"};
}

}  // namespace holdfast::agent::cli
