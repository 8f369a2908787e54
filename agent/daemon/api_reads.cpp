// Routes that show what is and what was.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "agent/daemon/api_call.hpp"
#include "common/base/text.hpp"
#include "proto/api/codec.hpp"
#include "proto/deployment/deployment.hpp"

namespace holdfast::agent::daemon {
namespace {

namespace api = proto::api;
namespace ledger = deploy::ledger;

constexpr std::uint64_t kDefaultEntries = 100;
constexpr std::uint64_t kMostEntries = 1000;

std::vector<api::LedgerEntry> messages(std::vector<ledger::NumberedEntry> entries) {
  std::vector<api::LedgerEntry> out;
  out.reserve(entries.size());
  for (auto& row : entries) {
    auto& entry = row.entry;
    auto& message = out.emplace_back();
    message.number = row.number;
    message.hash = std::move(row.hash);
    message.kind = std::string{proto::to_string(entry.kind)};
    message.time = to_rfc3339(entry.time);
    message.actor = std::move(entry.actor);
    message.reason = std::move(entry.reason);
    message.generation = entry.generation;
    if (entry.spec_digest) message.spec_digest = entry.spec_digest->str();
    message.service = std::move(entry.service);
    message.images_before = std::move(entry.images_before);
    message.images_after = std::move(entry.images_after);
    message.detail = std::move(entry.detail);
  }
  return out;
}

Result<std::string> generation_record(ledger::Reader& reader, api::HistoryItem item) {
  api::GenerationRecord record;
  HF_ASSIGN(auto entries, reader.entries_of(deploy::plan::GenerationId{item.generation}));
  record.entries = messages(std::move(entries));
  HF_ASSIGN(const auto digest, proto::Digest::parse(item.spec_digest));
  HF_ASSIGN(record.document, reader.document(digest));
  auto parsed =
      proto::load_deployment(record.document, fmt::format("generation {}", item.generation));
  if (parsed) record.canonical = std::move(parsed->canonical_json);
  record.generation = std::move(item);
  return api::encode(record);
}

/// What the engine holds in memory, and before it what only the ledger has.
Result<std::vector<api::HistoryItem>> whole_history(ledger::Reader& reader,
                                                    const deploy::engine::Snapshot& snapshot) {
  HF_ASSIGN(const auto rows, reader.generations());
  std::map<std::uint64_t, const api::HistoryItem*> newer;
  for (const auto& item : snapshot.records->history) newer.emplace(item.generation, &item);
  std::set<std::string> quarantined;
  for (const auto& item : snapshot.records->quarantine) quarantined.insert(item.spec_digest);
  std::vector<api::HistoryItem> items;
  for (const auto& row : rows) {
    const auto known = newer.find(row.id.value());
    items.push_back(known != newer.end()
                        ? *known->second
                        : api::HistoryItem{row.id.value(), row.spec_digest.str(),
                                           std::string{ledger::to_string(row.result)}, row.reason,
                                           row.actor, to_rfc3339(row.accepted), false,
                                           quarantined.contains(row.spec_digest.str())});
  }
  return items;
}

Result<std::string> older_record(ledger::Reader& reader, const deploy::engine::Snapshot& snapshot,
                                 std::uint64_t number) {
  HF_ASSIGN(const auto items, whole_history(reader, snapshot));
  for (const auto& item : items) {
    if (item.generation == number) return generation_record(reader, item);
  }
  return Error{Errc::not_found, fmt::format("there is no generation {}", number)}.hint(
      "`holdfast history` lists them");
}

}  // namespace

void Api::with_ledger(const Call& call, LedgerWork work) {
  const bool started = ledger_jobs_.start([open = parts_.open_reader, exchange = call.exchange,
                                           work = std::move(work)](const std::stop_token&) {
    auto reader = open();
    auto body = reader ? work(**reader) : Result<std::string>{std::move(reader).error()};
    if (!body) return exchange->respond(std::move(body).error().in("read the ledger"));
    exchange->respond(Response{200, "application/json", std::move(body).value(), ""});
  });
  if (!started)
    call.exchange->respond(
        Error{Errc::busy, "too many requests read the ledger"}.hint("try again"));
}

void Api::status(const Call& call) { call.json(api::encode(parts_.engine.snapshot()->status)); }

void Api::history(const Call& call) {
  const auto snapshot = parts_.engine.snapshot();
  if (snapshot->records->history_complete)
    return call.json(api::encode(snapshot->records->history));
  with_ledger(call, [snapshot](ledger::Reader& reader) -> Result<std::string> {
    HF_ASSIGN(const auto items, whole_history(reader, *snapshot));
    return api::encode(items);
  });
}

void Api::quarantine(const Call& call) {
  call.json(api::encode(parts_.engine.snapshot()->records->quarantine));
}

void Api::drift(const Call& call) {
  call.json(api::encode(parts_.engine.snapshot()->status.drift));
}

void Api::generation(const Call& call) {
  const auto number = parse_number(call.argument);
  if (!number) return call.exchange->respond(Error{number.error()}.in("generation"));
  const auto snapshot = parts_.engine.snapshot();
  const auto found =
      std::find_if(snapshot->records->history.begin(), snapshot->records->history.end(),
                   [&](const auto& item) { return item.generation == *number; });
  if (found == snapshot->records->history.end() && !snapshot->records->history_complete)
    return with_ledger(call, [snapshot, number = *number](ledger::Reader& reader) {
      return older_record(reader, *snapshot, number);
    });
  if (found == snapshot->records->history.end())
    return call.exchange->respond(
        Error{Errc::not_found, fmt::format("there is no generation {}", *number)}.hint(
            "`holdfast history` lists them"));
  with_ledger(call,
              [item = *found](ledger::Reader& reader) { return generation_record(reader, item); });
}

void Api::ledger_entries(const Call& call) {
  const auto after = call.number("after", 0);
  if (!after) return call.exchange->respond(after.error());
  const auto limit = call.number("limit", kDefaultEntries);
  if (!limit) return call.exchange->respond(limit.error());
  if (*limit == 0 || *limit > kMostEntries)
    return call.exchange->respond(
        Error{Errc::usage, fmt::format("limit: {} is not between 1 and {}", *limit, kMostEntries)});
  with_ledger(call,
              [after = *after, limit = *limit](ledger::Reader& reader) -> Result<std::string> {
                HF_ASSIGN(auto entries, reader.entries(after, limit));
                return api::encode(messages(std::move(entries)));
              });
}

void Api::ledger_head(const Call& call) {
  with_ledger(call, [](ledger::Reader& reader) -> Result<std::string> {
    HF_ASSIGN(auto head, reader.head());
    return api::encode(api::LedgerHead{head.number, std::move(head.hash)});
  });
}

void Api::ledger_verify(const Call& call) {
  with_ledger(call, [](ledger::Reader& reader) -> Result<std::string> {
    HF_ASSIGN(auto report, reader.verify());
    return api::encode(api::LedgerVerification{report.intact,
                                               report.entries,
                                               {report.head.number, std::move(report.head.hash)},
                                               std::move(report.fault)});
  });
}

void Api::version(const Call& call) {
  call.json(api::encode(api::VersionInfo{HOLDFAST_VERSION, "v1"}));
}

void Api::metrics(const Call& call) {
  call.exchange->respond(
      Response{200, "text/plain; version=0.0.4; charset=utf-8", parts_.metrics(), ""});
}

void Api::healthz(const Call& call) {
  const bool alive = parts_.engine.alive();
  call.exchange->respond(
      Response{alive ? 200U : 503U, "text/plain", alive ? "ok\n" : "engine stalled\n", ""});
}

void Api::readyz(const Call& call) {
  const bool ready = parts_.engine.snapshot()->ready;
  call.exchange->respond(
      Response{ready ? 200U : 503U, "text/plain", ready ? "ok\n" : "not adopted yet\n", ""});
}

}  // namespace holdfast::agent::daemon
