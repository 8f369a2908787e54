#include "agent/cli/commands/document.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>

#include "agent/cli/commands/register.hpp"
#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "deploy/plan/admission/admission.hpp"
#include "proto/deployment/schema.hpp"

namespace holdfast::agent::cli {
namespace {

constexpr std::size_t kLimit = 1U << 20;

Result<std::string> read_stdin() {
  std::string text;
  std::array<char, 65536> buffer;
  for (;;) {
    const auto got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (got == 0) return text;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error(errno, "read the document from stdin");
    text.append(buffer.data(), static_cast<std::size_t>(got));
    if (text.size() > kLimit)
      return Error{Errc::too_large, "the document on stdin is larger than 1 MiB"};
  }
}

/// By its own policy, as plan and apply judge it; the host's is known only there.
Status admits_itself(const proto::Deployment& deployment) {
  return deploy::plan::admit(deploy::plan::image_facts(deployment), deployment.image_policy);
}

}  // namespace

Result<Document> read_document(const std::string& path) {
  if (path == "-") {
    HF_ASSIGN(auto text, read_stdin());
    return Document{"stdin", std::move(text)};
  }
  auto text = os::read_file(path, kLimit);
  if (!text) return std::move(text).error().hint("name a deployment document, or - for stdin");
  return Document{path, std::move(text).value()};
}

Checked check_document(const Context& context, const Document& document) {
  auto parsed = proto::parse_deployment(document.text, document.name);
  std::string warnings;
  for (const auto& warning : parsed.warnings)
    warnings +=
        fmt::format("{} {}\n", mark(Mark::warn, context.err), printable(warning.to_string()));
  say(context, warnings);
  Checked checked{std::move(parsed.deployment), {}};
  for (const auto& fault : parsed.errors)
    checked.faults += (checked.faults.empty() ? "" : "\n") + fault.to_string();
  if (checked.deployment) return checked;
  report(context, proto::api::ErrorBody{
                      "E_SPEC_PARSE",
                      fmt::format("{} has {} error{}:\n{}", document.name, parsed.errors.size(),
                                  parsed.errors.size() == 1 ? "" : "s", checked.faults),
                      "correct the document; \"holdfast schema\" prints what may be in it"});
  return checked;
}

ExitCode run_command(const Context& context, const LintOptions& options) {
  ExitCode worst = ExitCode::done;
  std::string lines;
  for (const auto& path : options.files) {
    const auto document = read_document(path);
    if (!document) {
      worst = report(context, document.error());
      continue;
    }
    const auto checked = check_document(context, *document);
    if (!checked.deployment) {
      worst = ExitCode::rejected;
      continue;
    }
    if (auto admitted = admits_itself(*checked.deployment); !admitted) {
      worst = report(context, std::move(admitted).error().in(document->name));
      continue;
    }
    if (!context.json())
      print(fmt::format("{} {}: {} service{}, spec digest {}\n", mark(Mark::good, context.out),
                        printable(document->name), checked.deployment->services.size(),
                        checked.deployment->services.size() == 1 ? "" : "s",
                        checked.deployment->spec_digest.str()));
    else
      lines += checked.deployment->canonical_json + "\n";
  }
  print(lines);
  return worst;
}

ExitCode run_command(const Context&, const SchemaOptions&) {
  print(proto::deployment_schema());
  return ExitCode::done;
}

std::unique_ptr<Command> add_schema(CLI::App& app) {
  auto made = std::make_unique<CommandOf<SchemaOptions>>();
  subcommand(app, "schema", "The JSON Schema of deployment documents",
             "  holdfast schema > deployment.schema.json");
  return made;
}

std::unique_ptr<Command> add_lint(CLI::App& app) {
  auto made = std::make_unique<CommandOf<LintOptions>>();
  auto& options = made->options;
  auto* lint = subcommand(app, "lint", "Check documents without an agent",
                          "  holdfast lint shop.yaml\n  holdfast lint hosts/*.yaml");
  lint->add_option("files", options.files, "Deployment documents, - for stdin")
      ->required()
      ->type_name("FILE...");
  return made;
}

}  // namespace holdfast::agent::cli
