#include "agent/cli/commands/root.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "agent/cli/author/keys.hpp"
#include "agent/cli/author/signing.hpp"
#include "agent/cli/commands/register.hpp"
#include "agent/cli/commands/sign.hpp"
#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "deploy/trust/verification.hpp"
#include "proto/json/writer.hpp"
#include "proto/trust/root.hpp"

namespace holdfast::agent::cli {
namespace {

using proto::trust::Envelope;
using proto::trust::kRootType;
using proto::trust::Root;

Result<std::vector<proto::trust::PublicKey>> read_keys(const std::vector<std::string>& files) {
  std::vector<proto::trust::PublicKey> keys;
  for (const auto& file : files) {
    HF_ASSIGN(auto key, read_public_key(file));
    keys.push_back(std::move(key));
  }
  return keys;
}

/// What the options name takes the place of what was there.
Status change(proto::trust::RoleKeys& role, const std::vector<std::string>& files,
              std::uint64_t threshold) {
  if (!files.empty()) {
    HF_ASSIGN(role.keys, read_keys(files));
  }
  if (threshold > proto::trust::kMostKeys)
    return Error{Errc::usage, fmt::format("a threshold of {} is more than the {} keys there may be",
                                          threshold, proto::trust::kMostKeys)}
        .hint("a threshold is at most the number of keys of the role");
  if (threshold != 0) role.threshold = static_cast<std::uint32_t>(threshold);
  return ok();
}

Result<Root> to_begin_with(const RootOptions& options) {
  if (options.action == RootOptions::Action::init)
    return Root{.deployment = options.deployment, .version = 1, .root = {}, .signers = {}};
  HF_ASSIGN(const auto text, os::read_file(options.current, proto::trust::kMostEnvelopeBytes));
  // Whatever stands there gets our signature: it must be what its keys signed.
  auto root = deploy::trust::verify_first_root(text, check_here);
  if (!root) return std::move(root).error().in(options.current);
  ++root->version;
  return root;
}

Result<Envelope> make(const RootOptions& options, WallTime now) {
  HF_ASSIGN(auto root, to_begin_with(options));
  HF_TRY(change(root.root, options.root_keys, options.root_threshold));
  HF_TRY(change(root.signers, options.signers, options.threshold));
  HF_ASSIGN(root.expires, time_from(options.expires, now));
  Envelope envelope{std::string{kRootType}, write_root(root), {}};
  HF_ASSIGN(const auto read, proto::trust::read_root(envelope.payload));  // within its bounds
  HF_ASSIGN(const auto passphrase, read_passphrase(options.passphrase_file));
  for (const auto& file : options.keys) {
    HF_ASSIGN(const auto key, read_private_key(file, passphrase));
    HF_TRY(add_signature(envelope, key));
  }
  return envelope;
}

}  // namespace

ExitCode run_command(const Context& context, const RootOptions& options) {
  const auto envelope = make(options, context.clock.wall());
  if (!envelope) return report(context, envelope.error());
  const auto root = *proto::trust::read_root(envelope->payload);
  const auto out = options.out.empty() ? fmt::format("{}.root.json", root.version) : options.out;
  return write_signed(context, *envelope, out);
}

namespace {

void add_options(CLI::App* sub, RootOptions& options) {
  sub->add_option("--root-key", options.root_keys, "Public key that may change the root")
      ->type_name("FILE");
  sub->add_option("--signer", options.signers, "Public key that may sign deployments")
      ->type_name("FILE");
  sub->add_option("--root-threshold", options.root_threshold, "How many root keys it takes")
      ->check(whole)
      ->type_name("N");
  sub->add_option("--threshold", options.threshold, "How many signers a deployment takes")
      ->check(whole)
      ->type_name("N");
  sub->add_option("--expires", options.expires, "Until when: 365d, or 2027-12-01T00:00:00Z")
      ->type_name("TIME")
      ->capture_default_str();
  sub->add_option("--key", options.keys, "Private key that signs it; more with holdfast sign")
      ->required()
      ->type_name("FILE");
  sub->add_option("--passphrase-file", options.passphrase_file, "Opens encrypted private keys")
      ->type_name("FILE");
  sub->add_option("-O,--out", options.out, "Where to; without it VERSION.root.json")
      ->type_name("FILE");
}

}  // namespace

std::unique_ptr<Command> add_root(CLI::App& app) {
  auto made = std::make_unique<CommandOf<RootOptions>>();
  auto& options = made->options;
  auto* root =
      subcommand(app, "root", "The root of trust: whose signatures count",
                 "  holdfast root init shop --root-key boss.pub --signer ci.pub --key boss.pem\n"
                 "  holdfast root next 1.root.json --signer new-ci.pub --key boss.pem\n"
                 "  holdfast sign 2.root.json --key deputy.pem");
  root->require_subcommand(1);
  auto* init = root->add_subcommand("init", "The first version, to be put on each host by hand");
  init->add_option("deployment", options.deployment, "Name of the deployment")
      ->required()
      ->type_name("NAME");
  add_options(init, options);
  init->get_option("--root-key")->required();
  init->get_option("--signer")->required();
  init->callback([&options] { options.action = RootOptions::Action::init; });
  auto* next =
      root->add_subcommand("next", "The version after this one; keys named replace its own");
  next->add_option("current", options.current, "The version before")->required()->type_name("FILE");
  add_options(next, options);
  next->callback([&options] { options.action = RootOptions::Action::next; });
  return made;
}

}  // namespace holdfast::agent::cli
