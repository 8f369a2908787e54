#include "deploy/network/nft/table_loader.hpp"

#include <utility>

#include "deploy/network/kernel/route.hpp"
#include "deploy/network/nft/nft_elements.hpp"
#include "deploy/network/nft/nft_program.hpp"

namespace holdfast::deploy::network {
namespace {

constexpr int kLoads = 6;  ///< until nobody changes the ruleset meanwhile

}  // namespace

Result<TableLoader> TableLoader::open(const RulesetOptions& options, LoadedRules last) {
  HF_ASSIGN(auto nft, NftTable::open(table_name(options)));
  HF_ASSIGN(auto forwarding, Forwarding::open(options.instance, options.subnet, options.run_dir));
  forwarding.expect(last.forwarding);
  return TableLoader{options, std::move(last), std::move(nft), std::move(forwarding)};
}

Status TableLoader::load(std::optional<RoutingTable> wanted) {
  const auto sets = nft_.undisturbed([&] { return nft_.elements(); });
  if (!wanted) {
    // Only a table that is not there is empty: loading one that was not read would end its traffic.
    if (!sets && sets.error().code() != Errc::not_found) return Error{sets.error()};
    if (auto left = sets ? from_sets(*sets) : RoutingTable{}) wanted = std::move(left).value();
  }
  const auto routing = wanted.value_or(RoutingTable{});
  const auto last_loaded = loaded_.table;
  if (sets && renew_rules(*sets, routing)) return ok();
  loaded_.table = last_loaded;
  return load_certainly(render_ruleset(options_, routing));
}

Status TableLoader::renew_rules(const NftSets& held, const RoutingTable& wanted) {
  HF_TRY(load_certainly(render_rules(options_)));
  HF_ASSIGN(const auto chains, nft_.undisturbed([&] { return nft_.chains(); }));
  if (chains != ruleset_chains()) return Error{Errc::conflict, "it has chains that are not ours"};
  return nft_.change(held, to_sets(wanted));
}

Status TableLoader::load_certainly(const std::string& text) {
  // What is read back is what was loaded only if nobody changed the ruleset in between: else an
  // alteration would become what later ones are compared with.
  for (int left = kLoads;; --left) {
    HF_ASSIGN(const auto before, nft_.generation());
    HF_TRY(run_nft(text));
    HF_ASSIGN(auto digest, nft_.undisturbed([&] { return nft_.rules_digest(); }));
    HF_ASSIGN(const auto after, nft_.generation());
    const bool certain = after == before + 1 || digest == loaded_.table;
    if (!certain && left > 1) continue;
    if (certain || loaded_.table.empty()) loaded_.table = std::move(digest);
    return ok();
  }
}

Status TableLoader::ensure_host() {
  auto forwarded = forwarding_.ensure();
  loaded_.forwarding = forwarding_.digest();
  HF_TRY(std::move(forwarded));
  HF_TRY(ensure_local_route(options_.service_subnet));
  return nft_.undisturbed([&] { return open_forward(nft_, {options_.instance, options_.subnet}); });
}

}  // namespace holdfast::deploy::network
