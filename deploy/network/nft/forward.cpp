#include "deploy/network/nft/forward.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "common/base/text.hpp"
#include "common/os/process.hpp"

namespace holdfast::deploy::network {
namespace {

constexpr const char* kTable = "filter";
constexpr const char* kChain = "FORWARD";
constexpr const char* kDockerChain = "DOCKER-USER";

std::string comment_of(const ForwardOptions& options) { return "holdfast:" + options.instance; }

/// What iptables is told after -I or -D and the chain.
std::vector<std::vector<std::string>> rules_of(const ForwardOptions& options) {
  const auto subnet = options.subnet.str();
  const auto comment = comment_of(options);
  return {{"-s", subnet, "-m", "comment", "--comment", comment, "-j", "ACCEPT"},
          {"-d", subnet, "-m", "conntrack", "--ctstate", "DNAT,RELATED,ESTABLISHED", "-m",
           "comment", "--comment", comment, "-j", "ACCEPT"}};
}

Result<os::RunResult> iptables(const char* operation, const char* chain,
                               const std::vector<std::string>& rule) {
  os::RunOptions options;
  options.spawn.argv = {"iptables", "-w", "5", "-t", kTable, operation, chain};
  options.spawn.argv.insert(options.spawn.argv.end(), rule.begin(), rule.end());
  options.spawn.env = {os::kChildPath};
  options.timeout = Milliseconds{10'000};
  return os::run(options);
}

bool succeeded(const Result<os::RunResult>& ran) { return ran && os::succeeded(ran->status); }

bool drops(const std::vector<BaseChain>& chains) {
  return std::any_of(chains.begin(), chains.end(), [](const BaseChain& chain) {
    return chain.family == "ip" && chain.table == kTable && chain.name == kChain &&
           chain.forwards && chain.drops;
  });
}

/// A comment ends with a zero byte, so that "holdfast:a" is not found in "holdfast:ab".
Result<bool> holds_comment(NftTable& nft, const char* chain, const ForwardOptions& options) {
  const std::string text = comment_of(options) + '\0';
  auto held = nft.rules_hold(kTable, chain, text);
  if (!held && held.error().code() == Errc::not_found) return false;
  return held;
}

}  // namespace

bool host_forward_drops() {
  auto nft = NftTable::open({});
  if (!nft) return false;
  const auto chains = nft->base_chains();
  return chains && drops(*chains);
}

Result<bool> forward_is_open(NftTable& nft, const ForwardOptions& options) {
  HF_ASSIGN(const auto chains, nft.base_chains());
  if (!drops(chains)) return true;
  HF_ASSIGN(const bool docker, holds_comment(nft, kDockerChain, options));
  if (docker) return true;
  return holds_comment(nft, kChain, options);
}

Status open_forward(NftTable& nft, const ForwardOptions& options) {
  HF_ASSIGN(const bool open, forward_is_open(nft, options));
  if (open) return ok();
  const bool docker = nft.rules_hold(kTable, kDockerChain, "").has_value();
  const char* chain = docker ? kDockerChain : kChain;
  for (const auto& rule : rules_of(options)) {
    if (succeeded(iptables("-C", chain, rule))) continue;
    const auto ran = iptables("-I", chain, rule);
    if (succeeded(ran)) continue;
    return Error{Errc::cni, fmt::format("let traffic of instances pass chain {}: {}", chain,
                                        ran ? printable(trim(ran->err)) : ran.error().what())}
        .hint(fmt::format("run: iptables -I {} {}", chain, fmt::join(rule, " ")));
  }
  return ok();
}

Status close_forward(NftTable& nft, const ForwardOptions& options) {
  for (const char* chain : {kDockerChain, kChain}) {
    HF_ASSIGN(const bool ours, holds_comment(nft, chain, options));
    if (!ours) continue;
    for (const auto& rule : rules_of(options)) {
      constexpr int kMost = 8;  // a rule may be there more than once
      for (int i = 0; i < kMost && succeeded(iptables("-D", chain, rule)); ++i) {
      }
    }
    HF_ASSIGN(const bool left, holds_comment(nft, chain, options));
    if (left) {
      return Error{Errc::cni,
                   fmt::format("rules of agent {} are still in chain {}", options.instance, chain)}
          .hint(fmt::format("run: iptables -S {} | grep {}", chain, comment_of(options)));
    }
  }
  return ok();
}

}  // namespace holdfast::deploy::network
