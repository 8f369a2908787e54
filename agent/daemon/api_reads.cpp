// Handlers that show what is and what was.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "agent/daemon/api.hpp"
#include "common/base/text.hpp"
#include "proto/deployment/deployment.hpp"

namespace holdfast::agent::daemon {
namespace {

namespace api = proto::api;
namespace ledger = deploy::ledger;

constexpr std::uint64_t kMostEntries = 1000;
constexpr std::uint64_t kEntriesAtOnce = 50;
/// Of one page before it is JSON, which takes up to six times as much.
constexpr std::size_t kMostEntryBytes = 256U << 10;

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

std::size_t bytes_of(const api::LedgerEntry& entry) {
  std::size_t sum = sizeof(entry) + entry.actor.size() + entry.reason.size();
  for (const auto* texts : {&entry.images_before, &entry.images_after, &entry.detail})
    for (const auto& [name, text] : *texts) sum += name.size() + text.size();
  return sum;
}

/// At most `limit` entries, and fewer where these are long; one at least, where there is one.
Result<std::vector<api::LedgerEntry>> page_of(ledger::Reader& reader, std::uint64_t after,
                                              std::uint64_t limit) {
  std::vector<api::LedgerEntry> page;
  std::size_t bytes = 0;
  while (page.size() < limit) {
    const auto wanted = std::min<std::uint64_t>(kEntriesAtOnce, limit - page.size());
    HF_ASSIGN(auto entries, reader.entries(after, wanted));
    const bool last = entries.size() < wanted;
    for (auto& entry : messages(std::move(entries))) {
      bytes += bytes_of(entry);
      if (bytes > kMostEntryBytes && !page.empty()) return page;
      after = entry.number;
      page.push_back(std::move(entry));
    }
    if (last) break;
  }
  return page;
}

Result<api::GenerationRecord> generation_record(ledger::Reader& reader, api::HistoryItem item) {
  api::GenerationRecord record;
  HF_ASSIGN(auto entries, reader.entries_of(deploy::plan::GenerationId{item.generation}));
  record.entries = messages(std::move(entries));
  HF_ASSIGN(const auto digest, proto::Digest::parse(item.spec_digest));
  HF_ASSIGN(record.document, reader.document(digest));
  auto parsed =
      proto::load_deployment(record.document, fmt::format("generation {}", item.generation));
  if (parsed) record.canonical = std::move(parsed->canonical_json);
  record.generation = std::move(item);
  return record;
}

/// What the engine holds in memory, and before it what only the ledger has.
Result<std::vector<api::HistoryItem>> whole_history(ledger::Reader& reader,
                                                    const deploy::engine::Snapshot& snapshot) {
  using Outcome = proto::Word<api::GenerationResult>;
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
                                           Outcome::read(ledger::to_string(row.result)), row.reason,
                                           row.actor, to_rfc3339(row.accepted), false,
                                           quarantined.contains(row.spec_digest.str())});
  }
  return items;
}

Error no_generation(std::uint64_t number) {
  return Error{Errc::not_found, fmt::format("there is no generation {}", number)}.hint(
      "`holdfast history` lists them");
}

Result<api::GenerationRecord> older_record(ledger::Reader& reader,
                                           const deploy::engine::Snapshot& snapshot,
                                           std::uint64_t number) {
  HF_ASSIGN(const auto items, whole_history(reader, snapshot));
  for (const auto& item : items) {
    if (item.generation == number) return generation_record(reader, item);
  }
  return no_generation(number);
}

/// What a read found, or what was in its way.
template <class Answer, class T>
void answer_read(const Answer& answer, Result<T> found) {
  if (!found) return answer(std::move(found).error().in("read the ledger"));
  answer(*found);
}

}  // namespace

void Api::with_ledger(const ExchangePtr& exchange, LedgerRead read) {
  const auto started = ledger_jobs_.start(
      exchange->request(), role_of(exchange->request()),
      [read_ledger = parts_.read_ledger, exchange, read = std::move(read)](const std::stop_token&) {
        if (auto done = read_ledger(read); !done)
          exchange->respond(std::move(done).error().in("read the ledger"));
      });
  if (!started) exchange->respond(started.error());
}

void Api::handle(const CallOf<"status">& call) {
  auto status = parts_.engine.snapshot()->status;
  status.incomplete = parts_.incomplete();
  status.source = parts_.source();
  call.answer(status);
}

void Api::handle(const CallOf<"history">& call) {
  const auto snapshot = parts_.engine.snapshot();
  if (snapshot->records->history_complete) return call.answer(snapshot->records->history);
  with_ledger(call.exchange, [snapshot, answer = call.answer](ledger::Reader& reader) {
    answer_read(answer, whole_history(reader, *snapshot));
  });
}

void Api::handle(const CallOf<"quarantine">& call) {
  call.answer(parts_.engine.snapshot()->records->quarantine);
}

void Api::handle(const CallOf<"drift">& call) {
  call.answer(parts_.engine.snapshot()->status.drift);
}

void Api::handle(const CallOf<"generation">& call) {
  const auto number = parse_number(call.argument);
  if (!number) return call.answer(Error{number.error()}.in("generation"));
  const auto snapshot = parts_.engine.snapshot();
  const auto& history = snapshot->records->history;
  const auto found = std::find_if(history.begin(), history.end(),
                                  [&](const auto& item) { return item.generation == *number; });
  if (found != history.end())
    return with_ledger(call.exchange, [item = *found, answer = call.answer](auto& reader) {
      answer_read(answer, generation_record(reader, item));
    });
  if (snapshot->records->history_complete) return call.answer(no_generation(*number));
  with_ledger(call.exchange, [snapshot, number = *number, answer = call.answer](auto& reader) {
    answer_read(answer, older_record(reader, *snapshot, number));
  });
}

void Api::handle(const CallOf<"ledger_entries">& call) {
  const auto asked = call.asked;
  if (asked.limit == 0 || asked.limit > kMostEntries)
    return call.answer(Error{
        Errc::usage, fmt::format("limit: {} is not between 1 and {}", asked.limit, kMostEntries)});
  with_ledger(call.exchange, [asked, answer = call.answer](ledger::Reader& reader) {
    answer_read(answer, page_of(reader, asked.after, asked.limit));
  });
}

void Api::handle(const CallOf<"ledger_head">& call) {
  with_ledger(call.exchange, [answer = call.answer](ledger::Reader& reader) {
    auto head = reader.head();
    if (!head) return answer(std::move(head).error().in("read the ledger"));
    answer(api::LedgerHead{head->number, std::move(head->hash)});
  });
}

void Api::handle(const CallOf<"ledger_verify">& call) {
  with_ledger(call.exchange, [answer = call.answer](ledger::Reader& reader) {
    auto report = reader.verify();
    if (!report) return answer(std::move(report).error().in("read the ledger"));
    answer(api::LedgerVerification{report->intact,
                                   report->entries,
                                   {report->head.number, std::move(report->head.hash)},
                                   std::move(report->fault)});
  });
}

void Api::handle(const CallOf<"version">& call) {
  call.answer(api::VersionInfo{HOLDFAST_VERSION, "v1"});
}

void Api::handle(const CallOf<"metrics">& call) {
  parts_.metrics([answer = call.answer](std::string text) { answer.text(200, std::move(text)); });
}

void Api::handle(const CallOf<"healthz">& call) {
  const bool alive = parts_.engine.alive();
  call.answer.text(alive ? 200 : 503, alive ? "ok\n" : "engine stalled\n");
}

void Api::handle(const CallOf<"readyz">& call) {
  const bool ready = parts_.engine.snapshot()->ready;
  call.answer.text(ready ? 200 : 503, ready ? "ok\n" : "not adopted yet\n");
}

}  // namespace holdfast::agent::daemon
