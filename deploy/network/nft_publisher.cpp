#include "deploy/network/nft_publisher.hpp"

#include <fmt/format.h>
#include <netinet/in.h>

#include "common/log/log.hpp"
#include "deploy/network/kernel/conntrack.hpp"
#include "deploy/network/kernel/route.hpp"
#include "deploy/network/nft/nft_program.hpp"

namespace holdfast::deploy::network {
Result<std::unique_ptr<NftPublisher>> NftPublisher::open(RulesetOptions options) {
  const auto table = table_name(options);
  HF_ASSIGN(auto nft, NftTable::open(table));
  HF_ASSIGN(auto forwarding, Forwarding::open(options.instance, options.subnet, options.run_dir));
  std::unique_ptr<NftPublisher> self{
      new NftPublisher{std::move(options), std::move(nft), std::move(forwarding)}};
  auto opened = self->reload({});
  if (!opened) return std::move(opened).error().in(fmt::format("set up nft table {}", table));
  return self;
}

LoadedRules NftPublisher::loaded() const {
  const std::lock_guard lock{loaded_mutex_};
  return loaded_;
}

void NftPublisher::set_loaded(const LoadedRules& loaded) {
  const std::lock_guard lock{loaded_mutex_};
  loaded_ = loaded;
}

Status NftPublisher::reload(std::optional<RoutingTable> wanted) {
  HF_ASSIGN(auto loader, TableLoader::open(options_, loaded()));
  auto done = loader.load(std::move(wanted));
  set_loaded(loader.loaded());  // the table is whole, however long the host takes
  if (done) done = loader.ensure_host();
  set_loaded(loader.loaded());
  return done;
}

Status NftPublisher::check_host() {
  forwarding_.expect(loaded().forwarding);
  HF_TRY(forwarding_.check());
  HF_ASSIGN(const bool routed, has_local_route(options_.service_subnet));
  if (!routed)
    return Error{Errc::not_found,
                 fmt::format("the local route of {} is gone", options_.service_subnet.str())};
  return ok();
}

Result<RoutingTable> NftPublisher::observe() {
  HF_TRY(check_host());
  return observe_table();
}

Result<RoutingTable> NftPublisher::observe_table() {
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
  const auto ours = loaded();
  forwarding_.expect(ours.forwarding);
  HF_TRY(forwarding_.check_table());
  HF_ASSIGN(const bool forwarded, forward_is_open(nft_, forward_options()));
  if (!forwarded)
    return Error{Errc::not_found,
                 "chain FORWARD drops, and the rules that let instances pass are gone"};
  HF_ASSIGN(const auto digest, nft_.rules_digest());
  if (digest != ours.table)
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
  auto current = observe_table();
  if (!current) return std::move(current).error().in(doing);
  if (*current != wanted) {
    if (auto changed = nft_.change(to_sets(*current), to_sets(wanted)); !changed) {
      known_.reset();  // changed by somebody between the two calls
      return std::move(changed).error().in(doing);
    }
    const auto generation = nft_.generation();
    const bool alone = generation && known_ && *generation == known_->generation + 1;
    known_.reset();
    if (alone) known_ = Known{*generation, wanted};
    udp_mover_.moved(*current, wanted);
  }
  auto whole = check_host();
  if (!whole) return std::move(whole).error().in(doing);
  return ok();
}

Status NftPublisher::restore(const RoutingTable& wanted) {
  auto done = reload(wanted);
  udp_mover_.moved({}, wanted);
  if (!done) return std::move(done).error().in("publish");
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
  std::map<Address, std::uint32_t> open;
  for (const auto address : instances) open[address] = 0;
  HF_TRY(conntrack.visit(filter, [&](const Flow& flow) {
    const auto found = open.find(flow.reply.source);
    if (found != open.end() && flow.is_translated() && flow.is_live_tcp()) ++found->second;
  }));
  return open;
}

Result<std::uint32_t> NftPublisher::cut(Address instance, const std::stop_token& stop) {
  HF_ASSIGN(auto conntrack, Conntrack::open());
  HF_ASSIGN(const auto forgotten, conntrack.forget(
                                      {.protocol = {}, .reply_source = instance},
                                      [](const Flow& flow) { return flow.is_translated(); }, stop));
  if (!forgotten.all)
    log::warn("event=connections_left instance_address={}", plan::address_text(instance));
  return forgotten.live_tcp;
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
