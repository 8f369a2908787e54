#include "agent/cli/commands/verify.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "agent/cli/author/signing.hpp"
#include "agent/cli/commands/register.hpp"
#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "deploy/trust/verification.hpp"
#include "proto/json/writer.hpp"

namespace holdfast::agent::cli {
namespace {

namespace trust = deploy::trust;
using proto::trust::Envelope;
using proto::trust::kRootType;
using proto::trust::PublicKey;
using proto::trust::Root;

/// What is to be said of a file, whatever the verdict.
struct Finding {
  std::string type;
  struct Signature {
    std::string key_id;
    std::string is;  ///< "good", "bad", "of no key that counts"
  };
  std::vector<Signature> signatures;
  std::vector<std::pair<std::string, std::string>> facts;
  Status verdict = ok();
};

/// How each signature stands to the keys that could count.
Status judge_signatures(const Envelope& envelope, const std::vector<PublicKey>& keys,
                        Finding& finding) {
  for (const auto& signature : envelope.signatures) {
    const Envelope alone{envelope.payload_type, envelope.payload, {signature}};
    HF_ASSIGN(const auto good, trust::good_keys(alone, keys, check_here));
    const bool known = signature.key_id.empty() ||
                       std::any_of(keys.begin(), keys.end(), [&](const PublicKey& key) {
                         return key.id() == signature.key_id;
                       });
    finding.signatures.push_back(
        {good.empty() ? signature.key_id : good.front().id(), !good.empty() ? "good"
                                                              : known       ? "bad"
                                                                      : "of no key that counts"});
  }
  return ok();
}

void judge_root(const std::string& text, const Envelope& envelope, const std::optional<Root>& root,
                Finding& finding) {
  const auto read = proto::trust::read_root(envelope.payload);
  if (!read) {
    finding.verdict = read.error();
    return;
  }
  auto keys = read->root.keys;
  if (root) keys.insert(keys.end(), root->root.keys.begin(), root->root.keys.end());
  finding.verdict = judge_signatures(envelope, keys, finding);
  finding.facts = {
      {"deployment", read->deployment},
      {"version", std::to_string(read->version)},
      {"expires", to_rfc3339(read->expires)},
      {"root_threshold", fmt::format("{} of {}", read->root.threshold, read->root.keys.size())},
      {"signers_threshold",
       fmt::format("{} of {}", read->signers.threshold, read->signers.keys.size())}};
  const auto judged = root ? trust::verify_next_root(*root, text, check_here)
                           : trust::verify_first_root(text, check_here);
  if (!judged) finding.verdict = judged.error();
}

void judge_document(const std::string& text, const Envelope& envelope, const Root& root,
                    const trust::Floor& floor, const trust::HostFacts& host, Finding& finding) {
  finding.verdict = judge_signatures(envelope, root.signers.keys, finding);
  if (const auto document = proto::load_deployment(envelope.payload, "the document")) {
    finding.facts = {{"deployment", document->name},
                     {"serial", document->serial ? std::to_string(*document->serial) : "none"},
                     {"issued", document->issued ? to_rfc3339(*document->issued) : "none"},
                     {"expires", document->expires ? to_rfc3339(*document->expires) : "none"},
                     {"document", proto::Digest::of(envelope.payload).str()},
                     {"content", document->spec_digest.str()}};
  }
  const auto judged = trust::verify_document(root, floor, host, text, check_here);
  if (!judged) finding.verdict = judged.error();
}

Result<std::string> read_text(const std::string& file) {
  return os::read_file(file, proto::trust::kMostEnvelopeBytes);
}

Result<trust::HostFacts> host_of(const VerifyOptions& options, WallTime now,
                                 const Envelope& envelope) {
  trust::HostFacts host{now, {}};
  if (!options.at.empty()) {
    HF_ASSIGN(host.now, parse_rfc3339(options.at));
  }
  for (const auto& label : options.labels) {
    const auto at = label.find('=');
    if (at == std::string::npos)
      return Error{Errc::usage, fmt::format("\"{}\" is no label", printable(label))}.hint(
          "write --label role=web");
    host.labels[label.substr(0, at)] = label.substr(at + 1);
  }
  if (!options.labels.empty()) return host;
  // Without a host in mind: for one that it is meant for.
  if (const auto document = proto::load_deployment(envelope.payload, "the document"))
    host.labels = document->targets;
  return host;
}

Result<Finding> judge(const VerifyOptions& options, WallTime now) {
  HF_ASSIGN(const auto text, read_text(options.file));
  std::optional<Root> root;
  if (!options.root.empty()) {
    HF_ASSIGN(const auto root_text, read_text(options.root));
    auto first = trust::verify_first_root(root_text, check_here);
    if (!first) return std::move(first).error().in(options.root);
    root = std::move(first).value();
  }
  Finding finding;
  const auto envelope = proto::trust::read_envelope(text);
  if (!envelope) {
    finding.verdict = envelope.error();
    return finding;
  }
  finding.type = envelope->payload_type;
  if (finding.type == kRootType) {
    judge_root(text, *envelope, root, finding);
    return finding;
  }
  if (!root)
    return Error{Errc::usage, "a deployment is judged by a root of trust"}.hint(
        "--root 1.root.json: the file that the hosts have");
  trust::Floor floor{.serial = options.floor};
  // A host at this very serial is taken to have this document.
  const auto document = proto::load_deployment(envelope->payload, "the document");
  if (document && document->serial == options.floor)
    floor.document = proto::Digest::of(envelope->payload).hex();
  HF_ASSIGN(const auto host, host_of(options, now, *envelope));
  judge_document(text, *envelope, *root, floor, host, finding);
  return finding;
}

std::string as_json(const Finding& finding) {
  proto::json::Writer json{proto::json::Layout::indented};
  json.begin_object();
  json.key("verdict").value(finding.verdict ? "accepted" : "refused");
  json.key("code").value(finding.verdict ? "" : code(finding.verdict.error().code()));
  json.key("reason").value(finding.verdict ? std::string{} : finding.verdict.error().what());
  json.key("next").value(finding.verdict ? std::string{} : finding.verdict.error().next_step());
  json.key("type").value(finding.type);
  for (const auto& [name, value] : finding.facts) json.key(name).value(value);
  json.key("signatures").begin_array();
  for (const auto& signature : finding.signatures) {
    json.begin_object();
    json.key("key_id").value(signature.key_id);
    json.key("is").value(signature.is);
    json.end_object();
  }
  json.end_array().end_object();
  return std::move(json).take() + "\n";
}

std::string as_text(const Finding& finding, const Look& look) {
  std::string out;
  for (const auto& [name, value] : finding.facts)
    out += fmt::format("{:18}{}\n", name, printable(value));
  for (const auto& signature : finding.signatures)
    out += fmt::format(
        "{:18}{} {}\n", "signature",
        signature.key_id.empty() ? "(no key named)" : printable(signature.key_id.substr(0, 12)),
        signature.is);
  if (finding.verdict) out += fmt::format("{} accepted\n", mark(Mark::good, look));
  return out;
}

}  // namespace

ExitCode run_command(const Context& context, const VerifyOptions& options) {
  const auto finding = judge(options, context.clock.wall());
  if (!finding) return report(context, finding.error());
  print(context.json() ? as_json(*finding) : as_text(*finding, context.out));
  if (finding->verdict) return ExitCode::done;
  if (!context.json()) (void)report(context, finding->verdict.error());
  return ExitCode::rejected;
}

std::unique_ptr<Command> add_verify(CLI::App& app) {
  auto made = std::make_unique<CommandOf<VerifyOptions>>();
  auto& options = made->options;
  auto* verify =
      subcommand(app, "verify", "Whether a host would accept this, and if not, why",
                 "  holdfast verify shop.dsse.json --root 1.root.json\n"
                 "  holdfast verify shop.dsse.json --root 1.root.json --floor 41 --label role=db\n"
                 "  holdfast verify 2.root.json --root 1.root.json");
  verify->add_option("file", options.file, "Signed document, or a root of trust")
      ->required()
      ->type_name("FILE");
  verify->add_option("--root", options.root, "Root of trust that the host has")->type_name("FILE");
  verify->add_option("--floor", options.floor, "Serial that the host has accepted")
      ->check(whole)
      ->type_name("N");
  verify
      ->add_option("--label", options.labels, "Of the host: role=web; without it, a host it is for")
      ->type_name("KEY=VALUE");
  verify->add_option("--at", options.at, "Judge by this time instead of now")->type_name("TIME");
  return made;
}

}  // namespace holdfast::agent::cli
