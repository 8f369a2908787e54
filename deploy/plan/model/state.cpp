#include "deploy/plan/model/state.hpp"

#include <boost/json.hpp>
#include <exception>
#include <stdexcept>

namespace holdfast::deploy::plan {
namespace {

namespace json = boost::json;

template <class Map>
json::object instances_json(const Map& map) {
  json::object out;
  for (const auto& [name, id] : map) out[name.str()] = id.str();
  return out;
}

std::map<ServiceName, InstanceId> instances_from(const json::value& value) {
  std::map<ServiceName, InstanceId> out;
  for (const auto& [name, id] : value.as_object())
    out.emplace(ServiceName{std::string_view{name}}, InstanceId{std::string_view{id.as_string()}});
  return out;
}

std::uint64_t number(const json::value& value) { return value.to_number<std::uint64_t>(); }

json::object hooks_json(const HookProgress& hooks) {
  return {{"done", hooks.done}, {"id", hooks.id.str()}, {"tries", hooks.tries}};
}

HookProgress hooks_from(const json::value* value, BootTime now) {
  HookProgress hooks;
  if (value == nullptr) return hooks;
  const auto& in = value->as_object();
  hooks.done = in.at("done").to_number<std::size_t>();
  hooks.id = InstanceId{std::string_view{in.at("id").as_string()}};
  hooks.tries = in.at("tries").to_number<std::uint32_t>();
  hooks.since = now;
  return hooks;
}

json::object rollout_json(const Rollout& r) {
  json::object out{{"target", r.target.value()},
                   {"from", r.from.value()},
                   {"trigger", static_cast<int>(r.trigger)},
                   {"actor", r.actor},
                   {"reason", r.reason},
                   {"phase", static_cast<int>(r.phase)},
                   {"now", r.now},
                   {"switched", r.switched},
                   {"fresh", instances_json(r.fresh)},
                   {"before", instances_json(r.before)}};
  json::array replaced;
  for (const auto& name : r.replaced) replaced.emplace_back(name.str());
  out["replaced"] = std::move(replaced);
  if (r.hooks_before != HookProgress{}) out["hooks_before"] = hooks_json(r.hooks_before);
  if (r.hooks_after != HookProgress{}) out["hooks_after"] = hooks_json(r.hooks_after);
  if (r.failure) {
    json::object evidence;
    for (const auto& [key, value] : r.failure->evidence) evidence[key] = value;
    out["failure"] = json::object{{"code", code(r.failure->code)},
                                  {"service", r.failure->service},
                                  {"what", r.failure->what},
                                  {"evidence", evidence},
                                  {"passing", r.failure->passing}};
  }
  return out;
}

Rollout rollout_from(const json::object& in, BootTime now) {
  Rollout r;
  r.target = GenerationId{number(in.at("target"))};
  r.from = GenerationId{number(in.at("from"))};
  r.trigger = static_cast<Trigger>(in.at("trigger").to_number<int>());
  r.actor = in.at("actor").as_string();
  r.reason = in.at("reason").as_string();
  r.phase = static_cast<Phase>(in.at("phase").to_number<int>());
  if (const auto* hurried = in.if_contains("now")) r.now = hurried->as_bool();
  if (const auto* moved = in.if_contains("switched")) r.switched = moved->as_bool();
  r.since = r.started = now;
  r.fresh = instances_from(in.at("fresh"));
  r.before = instances_from(in.at("before"));
  r.hooks_before = hooks_from(in.if_contains("hooks_before"), now);
  r.hooks_after = hooks_from(in.if_contains("hooks_after"), now);
  for (const auto& [name, id] : r.fresh) r.gate_since[name] = now;
  for (const auto& name : in.at("replaced").as_array())
    r.replaced.insert(ServiceName{std::string_view{name.as_string()}});
  if (const auto* failure = in.if_contains("failure")) {
    const auto& f = failure->as_object();
    Failure read{errc_from_code(f.at("code").as_string()).value_or(Errc::internal),
                 std::string{f.at("service").as_string()},
                 std::string{f.at("what").as_string()},
                 {}};
    for (const auto& [key, value] : f.at("evidence").as_object())
      read.evidence[key] = value.as_string();
    if (const auto* passing = f.if_contains("passing")) read.passing = passing->as_bool();
    r.failure = std::move(read);
  }
  return r;
}

json::object stop_json(const proto::StopRule& rule) {
  json::object out{{"timeout", rule.timeout.count()}};
  if (!rule.signal.empty()) out["signal"] = rule.signal;
  return out;
}

proto::StopRule stop_from(const json::value* in) {
  proto::StopRule rule;
  if (in == nullptr) return rule;
  rule.timeout = Milliseconds{in->at("timeout").to_number<std::int64_t>()};
  if (const auto* signal = in->as_object().if_contains("signal")) rule.signal = signal->as_string();
  return rule;
}

json::object hold_json(const Hold& hold) {
  json::object out{
      {"actor", hold.actor}, {"reason", hold.reason}, {"since", to_rfc3339(hold.since)}};
  if (hold.until) out["until"] = to_rfc3339(*hold.until);
  return out;
}

/// Throws like the rest of Boost.JSON's readers, for decode_progress to catch.
WallTime wall_from(const json::value& value) {
  const auto time = parse_rfc3339(std::string_view{value.as_string()});
  if (!time) throw std::invalid_argument{time.error().what()};
  return *time;
}

Hold hold_from(const json::object& in) {
  Hold hold{
      std::string{in.at("actor").as_string()}, std::string{in.at("reason").as_string()}, {}, {}};
  hold.since = wall_from(in.at("since"));
  if (const auto* until = in.if_contains("until")) hold.until = wall_from(*until);
  return hold;
}

json::object shutdown_json(const Shutdown& shutdown) {
  json::array services;
  for (const auto& name : shutdown.services) services.emplace_back(name.str());
  return {{"boot_id", shutdown.boot_id},
          {"within", shutdown.within.count()},
          {"services", std::move(services)}};
}

Shutdown shutdown_from(const json::object& in, BootTime now) {
  Shutdown shutdown{std::string{in.at("boot_id").as_string()},
                    Milliseconds{in.at("within").to_number<std::int64_t>()},
                    {},
                    now};
  for (const auto& name : in.at("services").as_array())
    shutdown.services.insert(ServiceName{std::string_view{name.as_string()}});
  return shutdown;
}

json::object rehearsal_json(const Rehearsal& r) {
  return {{"target", r.target.value()},
          {"actor", r.actor},
          {"reason", r.reason},
          {"instances", instances_json(r.instances)}};
}

Rehearsal rehearsal_from(const json::object& in, BootTime now) {
  Rehearsal r;
  r.target = GenerationId{number(in.at("target"))};
  r.actor = in.at("actor").as_string();
  r.reason = in.at("reason").as_string();
  r.since = now;
  r.instances = instances_from(in.at("instances"));
  for (const auto& [name, id] : r.instances) r.gate_since[name] = now;
  return r;
}

json::object verdict_json(const RehearsalVerdict& v) {
  json::array remarks;
  for (const auto& remark : v.remarks) remarks.emplace_back(remark);
  return {{"generation", v.generation.value()},
          {"kind", static_cast<int>(v.kind)},
          {"reason", v.reason},
          {"actor", v.actor},
          {"at", to_rfc3339(v.at)},
          {"took", v.took.count()},
          {"remarks", std::move(remarks)}};
}

RehearsalVerdict verdict_from(const json::object& in) {
  RehearsalVerdict v;
  v.generation = GenerationId{number(in.at("generation"))};
  v.kind = static_cast<RehearsalVerdict::Kind>(in.at("kind").to_number<int>());
  v.reason = in.at("reason").as_string();
  v.actor = in.at("actor").as_string();
  v.at = wall_from(in.at("at"));
  v.took = Milliseconds{in.at("took").to_number<std::int64_t>()};
  for (const auto& remark : in.at("remarks").as_array()) v.remarks.emplace_back(remark.as_string());
  return v;
}

/// What came later than the first format; each member may be missing.
void add_readiness(const Progress& progress, json::object& out) {
  if (!progress.post_rollback_hooks.empty()) {
    json::array list;
    for (const auto& each : progress.post_rollback_hooks)
      list.push_back(
          json::object{{"generation", each.generation.value()}, {"hooks", hooks_json(each.hooks)}});
    out["aftermath"] = std::move(list);
  }
  if (progress.rehearsal) out["rehearsal"] = rehearsal_json(*progress.rehearsal);
  if (progress.rehearsed) out["rehearsed"] = verdict_json(*progress.rehearsed);
  json::object times;
  for (const auto& [name, took] : progress.start_times) times[name.str()] = took.count();
  if (!times.empty()) out["start_times"] = std::move(times);
  json::object released;
  for (const auto& [id, rule] : progress.released) released[id.str()] = stop_json(rule);
  if (!released.empty()) out["given_up"] = std::move(released);
  json::array completed;
  for (const auto& [key, at] : progress.completed)
    completed.push_back(json::object{
        {"service", key.first.str()}, {"run_hash", key.second.str()}, {"at", to_rfc3339(at)}});
  if (!completed.empty()) out["completed"] = std::move(completed);
  json::array held_for(progress.held_for.begin(), progress.held_for.end());
  if (!held_for.empty()) out["held_for"] = std::move(held_for);
  json::array kept;
  for (const auto& id : progress.kept) kept.emplace_back(id.str());
  if (!kept.empty()) out["kept"] = std::move(kept);
}

/// Before 2026-11-29 an array of ids, without their rules.
void read_released(const json::value& in, Progress& progress) {
  if (const auto* ids = in.if_array()) {
    for (const auto& id : *ids)
      progress.released.try_emplace(InstanceId{std::string_view{id.as_string()}});
    return;
  }
  for (const auto& [id, rule] : in.as_object())
    progress.released.emplace(InstanceId{std::string_view{id}}, stop_from(&rule));
}

void read_readiness(const json::object& in, BootTime now, Progress& progress) {
  if (const auto* list = in.if_contains("aftermath")) {
    for (const auto& each : list->as_array())
      progress.post_rollback_hooks.push_back(
          {GenerationId{number(each.at("generation"))}, hooks_from(&each.at("hooks"), now)});
  }
  if (const auto* r = in.if_contains("rehearsal"))
    progress.rehearsal = rehearsal_from(r->as_object(), now);
  if (const auto* v = in.if_contains("rehearsed"))
    progress.rehearsed = verdict_from(v->as_object());
  if (const auto* kept = in.if_contains("kept")) {
    for (const auto& id : kept->as_array())
      progress.kept.insert(InstanceId{std::string_view{id.as_string()}});
  }
  if (const auto* times = in.if_contains("start_times")) {
    for (const auto& [name, took] : times->as_object())
      progress.start_times.emplace(ServiceName{std::string_view{name}},
                                   Milliseconds{took.to_number<std::int64_t>()});
  }
  if (const auto* ids = in.if_contains("given_up")) read_released(*ids, progress);
  if (const auto* rows = in.if_contains("completed")) {
    for (const auto& row : rows->as_array()) {
      auto run_hash = proto::Digest::parse(std::string_view{row.at("run_hash").as_string()});
      if (run_hash)
        progress.completed.emplace(
            std::pair{ServiceName{std::string_view{row.at("service").as_string()}}, *run_hash},
            wall_from(row.at("at")));
    }
  }
  if (const auto* keys = in.if_contains("held_for")) {
    for (const auto& key : keys->as_array()) progress.held_for.emplace(key.as_string());
  }
}

}  // namespace

std::string_view to_string(RehearsalVerdict::Kind kind) {
  switch (kind) {
    case RehearsalVerdict::Kind::passed:
      return "passed";
    case RehearsalVerdict::Kind::failed:
      return "failed";
    case RehearsalVerdict::Kind::interrupted:
      return "interrupted";
  }
  return "unknown";
}

std::string_view to_string(Trigger trigger) {
  switch (trigger) {
    case Trigger::apply:
      return "apply";
    case Trigger::source:
      return "source";
    case Trigger::rollback:
      return "rollback";
  }
  return "unknown";
}

std::string encode_progress(const Progress& progress) {
  json::object addresses;
  for (const auto& [name, address] : progress.addresses) addresses[name.str()] = address;
  json::object retired;
  for (const auto& [id, r] : progress.retired)
    retired[id.str()] = json::object{{"standby", r.standby},
                                     {"drain", r.drain.count()},
                                     {"keep", r.keep.count()},
                                     {"stop", stop_json(r.stop)}};
  json::object out{
      {"current", progress.current.value()},         {"good", progress.good.value()},
      {"serving", instances_json(progress.serving)}, {"retired", std::move(retired)},
      {"addresses", std::move(addresses)},           {"next_sequence", progress.next_sequence}};
  if (progress.hold) out["hold"] = hold_json(*progress.hold);
  json::object stopped;
  for (const auto& [name, stop] : progress.stopped) stopped[name.str()] = hold_json(stop);
  if (!stopped.empty()) out["stopped"] = std::move(stopped);
  if (progress.shutdown) out["shutdown"] = shutdown_json(*progress.shutdown);
  json::object restarting;
  for (const auto& [name, starts] : progress.restarting) restarting[name.str()] = starts;
  if (!restarting.empty()) out["restarting"] = std::move(restarting);
  if (progress.heard)
    out["heard"] =
        json::object{{"source", progress.heard->source}, {"serial", progress.heard->serial}};
  if (progress.source)
    out["source"] = json::object{{"source", progress.source->source},
                                 {"spec_digest", progress.source->spec_digest.str()}};
  add_readiness(progress, out);
  if (progress.rollout) out["rollout"] = rollout_json(*progress.rollout);
  return json::serialize(out);
}

Result<Progress> decode_progress(std::string_view text, BootTime now) try {
  const json::value parsed = json::parse(json::string_view{text.data(), text.size()});
  const auto& in = parsed.as_object();
  Progress progress;
  progress.current = GenerationId{number(in.at("current"))};
  progress.good = GenerationId{number(in.at("good"))};
  progress.serving = instances_from(in.at("serving"));
  progress.next_sequence = number(in.at("next_sequence"));
  for (const auto& [name, address] : in.at("addresses").as_object())
    progress.addresses.emplace(ServiceName{std::string_view{name}}, address.to_number<Address>());
  for (const auto& [id, r] : in.at("retired").as_object()) {
    progress.retired.emplace(InstanceId{std::string_view{id}},
                             Retired{now, r.at("standby").as_bool(),
                                     Milliseconds{r.at("drain").to_number<std::int64_t>()},
                                     Milliseconds{r.at("keep").to_number<std::int64_t>()},
                                     stop_from(r.as_object().if_contains("stop"))});
  }
  if (const auto* hold = in.if_contains("hold")) progress.hold = hold_from(hold->as_object());
  if (const auto* stopped = in.if_contains("stopped")) {
    for (const auto& [name, stop] : stopped->as_object())
      progress.stopped.emplace(ServiceName{std::string_view{name}}, hold_from(stop.as_object()));
  }
  if (const auto* shutdown = in.if_contains("shutdown"))
    progress.shutdown = shutdown_from(shutdown->as_object(), now);
  if (const auto* restarting = in.if_contains("restarting")) {
    for (const auto& [name, starts] : restarting->as_object())
      progress.restarting.emplace(ServiceName{std::string_view{name}},
                                  starts.to_number<std::uint32_t>());
  }
  if (const auto* source = in.if_contains("source")) {
    const auto& word = source->as_object();
    if (auto digest = proto::Digest::parse(std::string_view{word.at("spec_digest").as_string()}))
      progress.source =
          OfferedDocument{std::string{word.at("source").as_string()}, std::move(*digest)};
  }
  if (const auto* heard = in.if_contains("heard")) {
    const auto& word = heard->as_object();
    progress.heard = HeardSerial{std::string{word.at("source").as_string()},
                                 word.at("serial").to_number<std::uint64_t>()};
  }
  read_readiness(in, now, progress);
  if (const auto* rollout = in.if_contains("rollout"))
    progress.rollout = rollout_from(rollout->as_object(), now);
  return progress;
} catch (const std::exception& broken) {
  return Error{Errc::ledger_corrupt,
               std::string{"the recorded progress cannot be read: "} + broken.what()};
}

}  // namespace holdfast::deploy::plan
