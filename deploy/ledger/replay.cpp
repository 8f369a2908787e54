#include "deploy/ledger/replay.hpp"

#include <fmt/format.h>

#include "common/base/text.hpp"
#include "common/crypto/sha256.hpp"
#include "deploy/ledger/queries.hpp"
#include "deploy/ledger/sql_text.hpp"

namespace holdfast::deploy::ledger {

struct Replay::Row {
  std::uint64_t number = 0;
  std::string hash;
  std::uint64_t generation = 0;
  std::string body;
  proto::Entry entry{};
  std::string document{};  ///< of an entry that accepts one
};

namespace {

bool accepts_document(const proto::Entry& entry) {
  return entry.kind == proto::EntryKind::accepted && entry.detail.contains("document_sha256");
}

}  // namespace

Result<std::uint64_t> Replay::take_over(db::Db& from) {
  std::uint64_t taken = 0;
  auto rows = from.prepare(
      "SELECT number, hash, generation, body FROM entries WHERE number > ?1 ORDER BY number");
  if (!rows) return taken;
  rows->bind(1, static_cast<std::int64_t>(head_.number));
  for (;;) {
    const auto more = rows->step();
    if (!more || !*more) return taken;
    Row row{static_cast<std::uint64_t>(rows->integer(0)), rows->text(1),
            static_cast<std::uint64_t>(rows->integer(2)), rows->text(3)};
    HF_ASSIGN(const bool next, follows(from, row));
    if (!next) return taken;
    HF_TRY(keep(row));
    head_ = {row.number, row.hash};
    ++taken;
  }
}

/// Whether the row is the next of the chain and tells what it needs to; reads its document.
Result<bool> Replay::follows(db::Db& from, Row& row) {
  if (row.number != head_.number + 1 ||
      proto::entry_hash(row.number, head_.hash, row.body) != row.hash)
    return false;
  auto entry = proto::decode_entry(row.body);
  if (!entry || entry->generation != row.generation) return false;
  row.entry = std::move(entry).value();
  if (!accepts_document(row.entry)) return true;
  if (!row.entry.spec_digest) return false;
  HF_ASSIGN(const auto last, into_.integer(sql::last_generation));
  if (row.generation != static_cast<std::uint64_t>(last) + 1) return false;
  auto document = read_document(from, *row.entry.spec_digest);
  if (!document) document = read_document(into_, *row.entry.spec_digest);
  if (!document || crypto::sha256_hex(*document) != row.entry.detail.at("document_sha256"))
    return false;
  row.document = std::move(document).value();
  return true;
}

Status Replay::keep(const Row& row) {
  HF_ASSIGN(auto add, into_.prepare(sql::add_entry));
  add.bind(1, static_cast<std::int64_t>(row.number)).bind(2, row.hash);
  HF_TRY(add.bind(3, static_cast<std::int64_t>(row.generation)).bind_blob(4, row.body).run());
  return apply(row);
}

Status Replay::apply(const Row& row) {
  const auto& entry = row.entry;
  using enum proto::EntryKind;
  switch (entry.kind) {
    case accepted:
      return accepts_document(entry) ? accept(row) : ok();
    case good:
      in_force_ = GenerationId{entry.generation};
      return set_result(entry.generation, GenerationResult::good, entry.reason);
    case failed:
      return set_result(entry.generation, GenerationResult::failed, entry.reason);
    case superseded:
      return set_result(entry.generation, GenerationResult::superseded, entry.reason);
    case rolled_back:
      return roll_back(entry);
    case quarantined:
      return quarantine(entry);
    case released: {
      if (!entry.spec_digest) return ok();
      HF_ASSIGN(auto release, into_.prepare(sql::release_quarantine));
      return release.bind(1, entry.spec_digest->str()).run();
    }
    default:
      return ok();
  }
}

Status Replay::accept(const Row& row) {
  const auto& entry = row.entry;
  HF_ASSIGN(auto document, into_.prepare(sql::add_document));
  HF_TRY(document.bind(1, entry.spec_digest->str()).bind(2, row.document).run());
  HF_ASSIGN(auto add, into_.prepare(sql::add_generation));
  add.bind(1, static_cast<std::int64_t>(entry.generation)).bind(2, entry.spec_digest->str());
  add.bind(3, static_cast<std::int64_t>(entry.time.time_since_epoch().count()));
  return add.bind(4, entry.actor).bind(5, entry.reason).run();
}

/// Of a roll-out that turned back, its generation failed unless somebody asked for that; of a
/// rollback, the one before it was rolled back from.
Status Replay::roll_back(const proto::Entry& entry) {
  const auto turned = entry.detail.find("failed_generation");
  if (turned == entry.detail.end()) {
    if (in_force_.value() != 0)
      HF_TRY(set_result(in_force_.value(), GenerationResult::rolled_back, entry.reason));
    in_force_ = GenerationId{entry.generation};
    return set_result(entry.generation, GenerationResult::good, entry.reason);
  }
  in_force_ = GenerationId{entry.generation};
  const auto id = parse_number(turned->second);
  if (!id) return ok();
  HF_ASSIGN(const auto rows, read_generations(into_));
  for (const auto& row : rows) {
    if (row.id.value() == *id && row.result == GenerationResult::pending)
      return set_result(*id, GenerationResult::rolled_back, entry.reason);
  }
  return ok();
}

Status Replay::set_result(std::uint64_t id, GenerationResult result, const std::string& reason) {
  HF_ASSIGN(auto query, into_.prepare(sql::set_result));
  query.bind(1, static_cast<std::int64_t>(id)).bind(2, to_string(result));
  return query.bind(3, reason).run();
}

Status Replay::quarantine(const proto::Entry& entry) {
  if (!entry.spec_digest) return ok();
  HF_ASSIGN(auto add, into_.prepare(sql::add_quarantine));
  add.bind(1, entry.spec_digest->str()).bind(2, entry.actor).bind(3, entry.reason);
  add.bind(4, static_cast<std::int64_t>(entry.time.time_since_epoch().count()));
  add.bind(5, encode_evidence({}));
  if (const auto until = entry.detail.find("until"); until != entry.detail.end()) {
    if (const auto at = parse_rfc3339(until->second))
      add.bind(6, static_cast<std::int64_t>(at->time_since_epoch().count()));
  }
  return add.run();
}

}  // namespace holdfast::deploy::ledger
