// doctor: every check, then one line that says how it stands.
#include "agent/cli/commands/doctor.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "agent/cli/commands/register.hpp"
#include "agent/cli/doctor/checks.hpp"
#include "common/base/text.hpp"
#include "common/os/guarded_path.hpp"
#include "proto/json/writer.hpp"

namespace holdfast::agent::cli {
namespace {

constexpr const char* kConfig = "/etc/holdfast/agent.yaml";
constexpr std::size_t kConfigLimit = 1U << 20;

struct Configuration {
  proto::AgentConfig config;
  Finding finding;
};

/// The file that was named; else the usual one, else the defaults.
Configuration configuration(const std::string& named) {
  const std::string path = named.empty() ? kConfig : named;
  const auto text = os::read_trusted(path, kConfigLimit);  // as the agent does
  if (!text && named.empty() && text.error().code() == Errc::not_found)
    return {{},
            {"configuration", Verdict::ok, fmt::format("defaults ({} does not exist)", path), {}}};
  if (!text) {
    const auto& next = text.error().next_step();
    return {{},
            {"configuration", Verdict::fail, text.error().what(),
             next.empty() ? "name the file with --config" : next}};
  }
  const auto parsed = proto::parse_agent_config(*text, path);
  if (parsed.config) return {*parsed.config, {"configuration", Verdict::ok, path, {}}};
  std::string faults;
  for (const auto& fault : parsed.errors)
    faults += (faults.empty() ? "" : "\n") + fault.to_string();
  return {
      {},
      {"configuration", Verdict::fail, faults, "correct it; the checks below use the defaults"}};
}

/// The agent itself; it may not be running yet, which stops nothing.
Finding check_agent(const Context& context, std::vector<std::string>& images) {
  constexpr Milliseconds kAgentPatience{2'000};
  const auto status = context.agent.call<"status">({}, {.timeout = kAgentPatience});
  if (status) {
    for (const auto& service : status->value.services) images.push_back(service.image);
    const auto& message = status->value.message;
    const auto next = message.rfind("; next: ");
    if (status->value.state == "degraded" && next != std::string::npos)
      return {"agent", Verdict::fail, message.substr(0, next), message.substr(next + 8)};
    return {"agent",
            Verdict::ok,
            fmt::format("holdfastd {} answers on {}", status->value.agent_version,
                        context.agent.socket().string()),
            {}};
  }
  const auto verdict = status.error().code() == Errc::unreachable ? Verdict::warn : Verdict::fail;
  return {"agent", verdict, status.error().what(), status.error().next_step()};
}

Findings all_checks(const Context& context, const DoctorOptions& options) {
  auto [config, finding] = configuration(options.config);
  Findings findings{std::move(finding), check_kernel(),        check_processor(),
                    check_cgroup(),     check_runtime(config), check_conmon(),
                    check_init(),       check_cni(config),     check_nft(),
                    check_forwarding(), check_names(),         check_clock(context.clock)};
  for (auto& disk : check_disk(config)) findings.push_back(std::move(disk));
  std::vector<std::string> images;
  auto agent = check_agent(context, images);
  for (auto& registry : check_registries(config, images, context.clock))
    findings.push_back(std::move(registry));
  findings.push_back(std::move(agent));
  // Last, because it takes this process into a mount namespace of its own.
  findings.insert(findings.end() - 1, check_overlay(config));
  return findings;
}

std::string_view word_of(Verdict verdict) {
  return verdict == Verdict::ok ? "ok" : verdict == Verdict::warn ? "warn" : "fail";
}

Mark mark_of(Verdict verdict) {
  return verdict == Verdict::ok ? Mark::good : verdict == Verdict::warn ? Mark::warn : Mark::bad;
}

std::string text_of(const Findings& findings, const Look& look) {
  constexpr std::size_t kHang = 16;
  std::string text;
  for (const auto& finding : findings) {
    const std::string indent(kHang, ' ');
    text += fmt::format("{} {:<13} {}\n", mark(mark_of(finding.verdict), look), finding.check,
                        printable_lines(finding.found, indent));
    if (!finding.next.empty()) text += fmt::format("{}next: {}\n", indent, printable(finding.next));
  }
  const auto count = [&](Verdict verdict) {
    return std::count_if(findings.begin(), findings.end(),
                         [&](const auto& f) { return f.verdict == verdict; });
  };
  const auto problems = count(Verdict::fail);
  const auto warnings = count(Verdict::warn);
  if (problems + warnings == 0) return text + "\nall is well\n";
  return text + fmt::format("\n{} problem{}, {} warning{}\n", problems, problems == 1 ? "" : "s",
                            warnings, warnings == 1 ? "" : "s");
}

std::string json_of(const Findings& findings) {
  proto::json::Writer out;
  out.begin_array();
  for (const auto& [check, verdict, found, next] : findings) {
    out.begin_object().key("check").value(check).key("result").value(word_of(verdict));
    out.key("found").value(found).key("next").value(next).end_object();
  }
  return std::move(out.end_array()).take();
}

}  // namespace

ExitCode run_command(const Context& context, const DoctorOptions& options) {
  const auto findings = all_checks(context, options);
  if (context.json()) {
    if (const auto printed = print_json(context, json_of(findings)); printed != ExitCode::done)
      return printed;
  } else {
    print(text_of(findings, context.out));
  }
  const bool failed = std::any_of(findings.begin(), findings.end(),
                                  [](const auto& f) { return f.verdict == Verdict::fail; });
  return failed ? ExitCode::error : ExitCode::done;
}

std::unique_ptr<Command> add_doctor(CLI::App& app) {
  auto made = std::make_unique<CommandOf<DoctorOptions>>();
  auto& options = made->options;
  auto* doctor =
      subcommand(app, "doctor", "Check this host and say what to do",
                 "  holdfast doctor\n  holdfast doctor --config /etc/holdfast/agent.yaml");
  doctor->add_option("--config", options.config, "Configuration of the agent")->type_name("FILE");
  return made;
}

}  // namespace holdfast::agent::cli
