#include "agent/cli/commands/keygen.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "agent/cli/author/keys.hpp"
#include "agent/cli/commands/register.hpp"
#include "common/base/text.hpp"
#include "proto/json/writer.hpp"

namespace holdfast::agent::cli {
namespace {

using proto::trust::PublicKey;

struct Pair {
  std::string private_file;
  std::string public_file;
  PublicKey key;
};

Result<Pair> make_pair(const KeygenOptions& options) {
  HF_ASSIGN(const auto passphrase, read_passphrase(options.passphrase_file));
  HF_ASSIGN(const auto made,
            crypto::PrivateKey::generate(options.algorithm == "ed25519"
                                             ? crypto::SignatureAlgorithm::ed25519
                                             : crypto::SignatureAlgorithm::ecdsa_p256));
  HF_ASSIGN(auto key, public_key_of(made));
  HF_ASSIGN(const auto pem, made.pem(passphrase));
  Pair pair{options.name + ".pem", options.name + ".pub", std::move(key)};
  HF_TRY(write_new(pair.private_file, pem, 0600));
  HF_TRY(write_new(pair.public_file, pair.key.pem(), 0644));
  return pair;
}

std::string as_json(const Pair& pair) {
  proto::json::Writer json{proto::json::Layout::indented};
  json.begin_object();
  json.key("private_key").value(pair.private_file);
  json.key("public_key").value(pair.public_file);
  json.key("algorithm").value(to_string(pair.key.algorithm()));
  json.key("key_id").value(pair.key.id());
  json.end_object();
  return std::move(json).take() + "\n";
}

}  // namespace

ExitCode run_command(const Context& context, const KeygenOptions& options) {
  const auto pair = make_pair(options);
  if (!pair) return report(context, pair.error());
  print(context.json() ? as_json(*pair)
                       : fmt::format("{} {}: keep it secret\n{} {}: {} key {}\n",
                                     mark(Mark::good, context.out), printable(pair->private_file),
                                     mark(Mark::good, context.out), printable(pair->public_file),
                                     to_string(pair->key.algorithm()), pair->key.short_id()));
  return ExitCode::done;
}

std::unique_ptr<Command> add_keygen(CLI::App& app) {
  auto made = std::make_unique<CommandOf<KeygenOptions>>();
  auto& options = made->options;
  auto* keygen = subcommand(app, "keygen", "Make a key that signs: NAME.pem and NAME.pub",
                            "  holdfast keygen ci\n"
                            "  holdfast keygen boss --passphrase-file ./passphrase\n"
                            "  holdfast keygen ci --algorithm ecdsa-p256");
  keygen->add_option("name", options.name, "Where to, without .pem and .pub")
      ->required()
      ->type_name("NAME");
  keygen->add_option("--algorithm", options.algorithm, "ed25519 or ecdsa-p256")
      ->check(CLI::IsMember({"ed25519", "ecdsa-p256"}))
      ->type_name("NAME")
      ->capture_default_str();
  keygen
      ->add_option("--passphrase-file", options.passphrase_file,
                   "Encrypt the private key with the first line of this file")
      ->type_name("FILE");
  return made;
}

}  // namespace holdfast::agent::cli
