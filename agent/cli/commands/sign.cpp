#include "agent/cli/commands/sign.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>

#include "agent/cli/author/frame.hpp"
#include "agent/cli/author/keys.hpp"
#include "agent/cli/author/signing.hpp"
#include "agent/cli/commands/register.hpp"
#include "agent/cli/render/when.hpp"
#include "common/base/text.hpp"
#include "common/crypto/sha256.hpp"
#include "common/os/file.hpp"
#include "deploy/trust/verification.hpp"
#include "proto/deployment/deployment.hpp"
#include "proto/json/writer.hpp"

namespace holdfast::agent::cli {
namespace {

using crypto::PrivateKey;
using proto::trust::Envelope;
using proto::trust::kDeploymentType;
using proto::trust::kRootType;

Result<Envelope> read_signed(const std::string& file) {
  HF_ASSIGN(const auto text, os::read_file(file, proto::trust::kMostEnvelopeBytes));
  auto envelope = proto::trust::read_envelope(text);
  if (!envelope) return std::move(envelope).error().in(file);
  return envelope;
}

/// Those who sign now: each file is read once, as it may be a pipe.
Result<std::vector<PrivateKey>> read_keys(const SignOptions& options) {
  HF_ASSIGN(const auto passphrase, read_passphrase(options.passphrase_file));
  std::vector<PrivateKey> keys;
  for (const auto& file : options.keys) {
    HF_ASSIGN(auto key, read_private_key(file, passphrase));
    keys.push_back(std::move(key));
  }
  return keys;
}

Result<std::vector<proto::trust::PublicKey>> public_keys(const std::vector<PrivateKey>& signers) {
  std::vector<proto::trust::PublicKey> keys;
  for (const auto& key : signers) {
    HF_ASSIGN(auto its, public_key_of(key));
    keys.push_back(std::move(its));
  }
  return keys;
}

/// As many as a host asks for have signed it: with fewer, our signature would be the one that was
/// missing.
Status signed_by_root(const SignOptions& options, const Envelope& envelope,
                      const std::string& file) {
  HF_ASSIGN(const auto text, os::read_file(options.root, proto::trust::kMostEnvelopeBytes));
  const auto root = deploy::trust::verify_first_root(text, check_here);
  if (!root) return Error{root.error()}.in(options.root);
  HF_ASSIGN(const auto good, deploy::trust::good_keys(envelope, root->signers.keys, check_here));
  return deploy::trust::meets_threshold(root->signers, good, file);
}

/// What is taken over from a signed document gets our signature: we, or those whom the root names,
/// must have signed it.
Status check_believed(const SignOptions& options, const std::vector<PrivateKey>& signers,
                      const Envelope& envelope, const std::string& file) {
  if (!options.root.empty()) return signed_by_root(options, envelope, file);
  HF_ASSIGN(const auto keys, public_keys(signers));
  HF_ASSIGN(const auto good, deploy::trust::good_keys(envelope, keys, check_here));
  if (!good.empty()) return ok();
  return Error{Errc::sig_invalid, fmt::format("{} has no good signature of a key given here", file)}
      .hint("if others signed it, name the root of trust in which they stand: --root 1.root.json");
}

Result<proto::Deployment> deployment_in(const Envelope& envelope, const std::string& file) {
  if (envelope.payload_type != kDeploymentType)
    return Error{Errc::usage, fmt::format("{} holds no deployment", file)};
  return proto::load_deployment(envelope.payload, file);
}

/// Given; or one after the document published before; or the document's own.
Result<std::uint64_t> serial_of(const SignOptions& options, const std::vector<PrivateKey>& signers,
                                const proto::Deployment& document) {
  if (options.serial != 0) return options.serial;
  if (!options.previous.empty()) {
    HF_ASSIGN(const auto envelope, read_signed(options.previous));
    HF_TRY(check_believed(options, signers, envelope, options.previous));
    HF_ASSIGN(const auto before, deployment_in(envelope, options.previous));
    return before.serial.value_or(0) + 1;
  }
  if (document.serial) return *document.serial;
  return Error{Errc::usage, "the document has no serial"}.hint(
      "--serial N, or --previous FILE for one more than in the document published before");
}

Result<Envelope> frame(const SignOptions& options, const std::string& yaml, std::uint64_t serial,
                       WallTime now) {
  HF_ASSIGN(const auto expires, time_from(options.expires, now));
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now);
  HF_ASSIGN(auto text, framed(yaml, {serial, seconds, expires}));
  return Envelope{std::string{kDeploymentType}, std::move(text), {}};
}

/// A new document under a serial; the same content under the next one; or what is signed already,
/// for one signature more.
Result<Envelope> to_sign(const SignOptions& options, const std::vector<PrivateKey>& signers,
                         WallTime now) {
  HF_ASSIGN(const auto text, os::read_file(options.file, proto::trust::kMostEnvelopeBytes));
  const bool is_signed = trim(text).starts_with('{');
  if (!is_signed) {
    if (options.refresh)
      return Error{Errc::usage, "--refresh takes a signed document"}.hint(
          "leave --refresh out to sign this one");
    HF_ASSIGN(const auto document, proto::load_deployment(text, options.file));
    HF_ASSIGN(const auto serial, serial_of(options, signers, document));
    return frame(options, text, serial, now);
  }
  auto read = proto::trust::read_envelope(text);
  if (!read) return std::move(read).error().in(options.file);
  auto envelope = std::move(read).value();
  if (!options.refresh) {
    if (options.serial != 0 || !options.previous.empty())
      return Error{Errc::usage, fmt::format("{} is signed already: its serial stays", options.file)}
          .hint("--refresh for the same content under another serial");
    return envelope;
  }
  HF_TRY(check_believed(options, signers, envelope, options.file));
  HF_ASSIGN(const auto document, deployment_in(envelope, options.file));
  const auto serial = options.serial != 0 ? options.serial : document.serial.value_or(0) + 1;
  return frame(options, envelope.payload, serial, now);
}

Result<Envelope> sign(const SignOptions& options, WallTime now) {
  HF_ASSIGN(const auto signers, read_keys(options));
  HF_ASSIGN(auto envelope, to_sign(options, signers, now));
  for (const auto& key : signers) HF_TRY(add_signature(envelope, key));
  return envelope;
}

/// "shop.yaml" → "shop.dsse.json"; what is signed already stays where it is.
std::string place_of(const SignOptions& options) {
  if (!options.out.empty()) return options.out;
  const std::filesystem::path file{options.file};
  if (file.extension() == ".json") return options.file;
  return std::filesystem::path{file}.replace_extension(".dsse.json").string();
}

std::string as_json(const Envelope& envelope, const std::string& out) {
  proto::json::Writer json{proto::json::Layout::indented};
  json.begin_object();
  json.key("file").value(out);
  json.key("type").value(envelope.payload_type);
  json.key("document").value("sha256:" + crypto::sha256_hex(envelope.payload));
  const auto document = envelope.payload_type == kDeploymentType
                            ? proto::load_deployment(envelope.payload, out)
                            : Result<proto::Deployment>{Error{Errc::usage, {}}};
  json.key("serial").value(document ? document->serial.value_or(0) : 0);
  json.key("content").value(document ? document->spec_digest.str() : "");
  json.key("signed_by").begin_array();
  for (const auto& signature : envelope.signatures) json.value(signature.key_id);
  json.end_array().end_object();
  return std::move(json).take() + "\n";
}

}  // namespace

Result<WallTime> time_from(const std::string& text, WallTime now) {
  if (const auto span = parse_span(text)) {
    if (span->count() <= 0) return Error{Errc::usage, "an expiry must lie ahead"};
    return std::chrono::floor<std::chrono::seconds>(now + *span);
  }
  const auto time = parse_rfc3339(text);
  if (!time)
    return Error{Errc::usage, fmt::format("\"{}\" is no time", printable(text))}.hint(
        "write 30d, or 2027-12-01T00:00:00Z");
  if (*time <= now) return Error{Errc::usage, fmt::format("{} is past", printable(text))};
  return *time;
}

ExitCode write_signed(const Context& context, const Envelope& envelope, const std::string& out) {
  const auto text = proto::trust::write_envelope(envelope);
  if (out == "-") {
    print(text);
    return ExitCode::done;
  }
  constexpr mode_t kForAll = 0644;
  if (auto done = os::write_atomic(out, text, kForAll); !done) return report(context, done.error());
  if (context.json()) {
    print(as_json(envelope, out));
    return ExitCode::done;
  }
  print(fmt::format("{} {}: {} signature{}, document {}\n", mark(Mark::good, context.out),
                    printable(out), envelope.signatures.size(),
                    envelope.signatures.size() == 1 ? "" : "s",
                    crypto::sha256_hex(envelope.payload).substr(0, 12)));
  return ExitCode::done;
}

ExitCode run_command(const Context& context, const SignOptions& options) {
  const auto envelope = sign(options, context.clock.wall());
  if (!envelope) return report(context, envelope.error());
  return write_signed(context, *envelope, place_of(options));
}

std::unique_ptr<Command> add_sign(CLI::App& app) {
  auto made = std::make_unique<CommandOf<SignOptions>>();
  auto& options = made->options;
  auto* sign = subcommand(app, "sign", "Sign a document, or add a signature to one",
                          "  holdfast sign shop.yaml --serial 42 --key ci.pem\n"
                          "  holdfast sign shop.yaml --previous shop.dsse.json --key ci.pem\n"
                          "  holdfast sign shop.dsse.json --key second.pem\n"
                          "  holdfast sign shop.dsse.json --refresh --expires 30d --key ci.pem");
  sign->add_option("file", options.file, "Deployment document, or one that is signed, or a root")
      ->required()
      ->type_name("FILE");
  sign->add_option("--key", options.keys, "Private key (holdfast keygen)")
      ->required()
      ->type_name("FILE");
  sign->add_option("--passphrase-file", options.passphrase_file, "Opens encrypted private keys")
      ->type_name("FILE");
  auto* serial = sign->add_option("--serial", options.serial, "Higher than any published before")
                     ->check(whole)
                     ->type_name("N");
  sign->add_option("--previous", options.previous,
                   "One more than the serial in this signed document")
      ->type_name("FILE")
      ->excludes(serial);
  sign->add_option("--root", options.root, "Believe its signers, in --previous and --refresh")
      ->type_name("FILE");
  sign->add_option("--expires", options.expires, "Until when it may be begun: 30d, or a time")
      ->type_name("TIME")
      ->capture_default_str();
  sign->add_flag("--refresh", options.refresh,
                 "The same content, a new serial and expiry: no rollout");
  sign->add_option("-O,--out", options.out, "Where to; - for stdout; without it FILE.dsse.json")
      ->type_name("FILE");
  return made;
}

}  // namespace holdfast::agent::cli
