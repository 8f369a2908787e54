#include "deploy/network/nft_publisher.hpp"

#include <fmt/format.h>
#include <netinet/in.h>
#include <unistd.h>

#include <chrono>

#include "common/base/clock.hpp"
#include "common/base/text.hpp"
#include "common/log/log.hpp"
#include "common/os/process.hpp"
#include "deploy/network/kernel/conntrack.hpp"
#include "deploy/network/kernel/route.hpp"
#include "deploy/network/nft/nft_program.hpp"

namespace holdfast::deploy::network {
namespace {

constexpr int kLoads = 6;  ///< until nobody changes the ruleset meanwhile

}  // namespace

Result<std::unique_ptr<NftPublisher>> NftPublisher::open(RulesetOptions options) {
  const auto table = table_name(options);
  HF_ASSIGN(auto nft, NftTable::open(table));
  HF_ASSIGN(auto forwarding, Forwarding::open(options.instance, options.subnet));
  std::unique_ptr<NftPublisher> self{
      new NftPublisher{std::move(options), std::move(nft), std::move(forwarding)}};
  const auto opened = [&]() -> Status {
    HF_TRY(self->load_rules({}));
    return self->ensure_host();
  }();
  if (!opened) return Error{opened.error()}.in(fmt::format("set up nft table {}", table));
  return self;
}

Status NftPublisher::load_rules(std::optional<RoutingTable> wanted) {
  known_.reset();
  const auto sets = nft_.undisturbed([&] { return nft_.elements(); });
  if (!wanted) {
    // Only a table that is not there is empty: loading one that was not read would end its traffic.
    if (!sets && sets.error().code() != Errc::not_found) return Error{sets.error()};
    if (auto left = sets ? from_sets(*sets) : RoutingTable{}) wanted = std::move(left).value();
  }
  const auto routing = wanted.value_or(RoutingTable{});
  const auto last_loaded = rules_digest_;
  if (sets && renew_rules(*sets, routing)) return ok();
  rules_digest_ = last_loaded;
  return load_certainly(render_ruleset(options_, routing));
}

Status NftPublisher::renew_rules(const NftSets& held, const RoutingTable& wanted) {
  HF_TRY(load_certainly(render_rules(options_)));
  HF_ASSIGN(const auto chains, nft_.undisturbed([&] { return nft_.chains(); }));
  if (chains != ruleset_chains()) return Error{Errc::conflict, "it has chains that are not ours"};
  return nft_.change(held, to_sets(wanted));
}

Status NftPublisher::load_certainly(const std::string& text) {
  // What is read back is what was loaded only if nobody changed the ruleset in between: else an
  // alteration would become what later ones are compared with.
  for (int left = kLoads;; --left) {
    HF_ASSIGN(const auto before, nft_.generation());
    HF_TRY(run_nft(text));
    HF_ASSIGN(auto digest, nft_.undisturbed([&] { return nft_.rules_digest(); }));
    HF_ASSIGN(const auto after, nft_.generation());
    const bool certain = after == before + 1 || digest == rules_digest_;
    if (!certain && left > 1) continue;
    if (certain || rules_digest_.empty()) rules_digest_ = std::move(digest);
    return ok();
  }
}

Status NftPublisher::ensure_host() {
  HF_TRY(forwarding_.ensure());
  HF_TRY(ensure_local_route(options_.service_subnet));
  // Repeating it changes nothing.
  return nft_.undisturbed([&] { return open_forward(nft_, forward_options()); });
}

Status NftPublisher::check_host() {
  HF_TRY(forwarding_.check());
  HF_ASSIGN(const bool routed, has_local_route(options_.service_subnet));
  if (!routed)
    return Error{Errc::not_found,
                 fmt::format("the local route of {} is gone", options_.service_subnet.str())};
  return ok();
}

Result<RoutingTable> NftPublisher::observe() {
  HF_TRY(check_host());
  HF_ASSIGN(const auto generation, nft_.generation());
  if (known_ && known_->generation == generation) return known_->routing;
  known_.reset();
  auto now = generation;
  auto routing = nft_.undisturbed([&]() -> Result<RoutingTable> {
    HF_ASSIGN(now, nft_.generation());
    return read();
  });
  if (routing) known_ = Known{now, *routing};
  return routing;
}

Result<RoutingTable> NftPublisher::read() {
  HF_TRY(forwarding_.check_table());
  HF_ASSIGN(const bool forwarded, forward_is_open(nft_, forward_options()));
  if (!forwarded)
    return Error{Errc::not_found,
                 "chain FORWARD drops, and the rules that let instances pass are gone"};
  HF_ASSIGN(const auto digest, nft_.rules_digest());
  if (digest != rules_digest_)
    return Error{Errc::not_found,
                 fmt::format("the rules of nft table {} were altered", table_name(options_))};
  HF_ASSIGN(const auto sets, nft_.elements());
  auto routing = from_sets(sets);
  if (!routing)
    return std::move(routing).error().in(
        fmt::format("nft table {} was altered", table_name(options_)));
  return routing;
}

Status NftPublisher::apply(const RoutingTable& wanted) {
  const auto doing = "publish";
  auto current = observe();
  if (current && *current == wanted) return ok();
  Status changed =
      current ? nft_.change(to_sets(*current), to_sets(wanted)) : Status{current.error()};
  RoutingTable before = current ? *current : RoutingTable{};
  if (!changed) {
    // Missing, altered, or changed by somebody between the two calls: load the whole table again,
    // in one transaction.
    log::warn("event=network_rules_reloaded table={} reason={}", table_name(options_),
              log::field(changed.error().what()));
    if (auto loaded = load_rules(wanted); !loaded) return std::move(loaded).error().in(doing);
    if (auto ensured = ensure_host(); !ensured) return std::move(ensured).error().in(doing);
  }
  const auto generation = nft_.generation();
  const bool alone =
      current && changed && generation && known_ && *generation == known_->generation + 1;
  known_.reset();
  if (alone) known_ = Known{*generation, wanted};
  udp_mover_.moved(before, wanted);
  return ok();
}

void NftPublisher::watch(std::function<void()> on_change) {
  auto started = TableWatch::start({.table = table_name(options_),
                                    .subnet = options_.subnet,
                                    .service_subnet = options_.service_subnet},
                                   std::move(on_change));
  if (started) {
    watch_ = std::move(*started);
  } else {  // found at the next resync then
    log::error("event=network_watch_failed error={}", log::field(started.error().to_string()));
  }
}

Result<std::map<Address, std::uint32_t>> NftPublisher::connections(
    const std::set<Address>& instances) {
  HF_ASSIGN(auto conntrack, Conntrack::open());
  FlowFilter filter{.protocol = IPPROTO_TCP, .reply_source = {}};
  if (instances.size() == 1) filter.reply_source = *instances.begin();
  HF_ASSIGN(const auto flows, conntrack.flows(filter));
  std::map<Address, std::uint32_t> open;
  for (const auto address : instances) open[address] = 0;
  for (const auto& flow : flows) {
    const auto found = open.find(flow.reply.source);
    if (found != open.end() && flow.is_translated() && flow.is_live_tcp()) ++found->second;
  }
  return open;
}

Result<std::uint32_t> NftPublisher::cut(Address instance, const std::stop_token& stop) {
  HF_ASSIGN(auto conntrack, Conntrack::open());
  HF_ASSIGN(const auto flows, conntrack.flows({.protocol = {}, .reply_source = instance}));
  std::uint32_t count = 0;
  for (const auto& flow : flows) {
    if (!flow.is_translated()) continue;
    if (stop.stop_requested()) return Error{Errc::cancelled, "the instance is needed again"};
    HF_TRY(conntrack.forget(flow));
    count += flow.is_live_tcp() ? 1 : 0;
  }
  return count;
}

Status NftPublisher::remove_all() {
  Status first = ok();
  const auto note = [&](Status status) {
    if (first && !status) first = std::move(status);
  };
  known_.reset();
  ports_.release();
  const auto table = table_name(options_);
  note(run_nft(fmt::format("add table ip {0}\ndelete table ip {0}\n", table)));
  note(close_forward(nft_, forward_options()));
  note(forwarding_.remove());
  note(remove_local_route(options_.service_subnet));
  return first;
}

}  // namespace holdfast::deploy::network
