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

Result<std::uint64_t> Replay::take_over(db::Db& from) {
  std::uint64_t taken = 0;
  auto rows = from.prepare(
      "SELECT number, hash, generation, body FROM entries WHERE number > ?1 ORDER BY number");
  if (!rows) return taken;
  rows->bind(1, static_cast<std::int64_t>(head_.number));
  for (;;) {
    const auto more = rows->step();
    if (!more || !*more) break;
    Row row{static_cast<std::uint64_t>(rows->integer(0)), rows->text(1),
            static_cast<std::uint64_t>(rows->integer(2)), rows->text(3)};
    HF_ASSIGN(const bool next, follows(from, row));
    if (!next) break;
    HF_TRY(keep(row));
    head_ = {row.number, row.hash};
    ++taken;
  }
  if (taken > 0) HF_TRY(write_tables());
  return taken;
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
  if (row.generation != tables_.last().value() + 1) return false;
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
  if (accepts_document(row.entry)) {
    HF_ASSIGN(auto document, into_.prepare(sql::add_document));
    HF_TRY(document.bind(1, row.entry.spec_digest->str()).bind(2, row.document).run());
  }
  return tables_.apply(row.entry);
}

Status Replay::write_tables() {
  HF_TRY(into_.exec("DELETE FROM generations; DELETE FROM quarantine"));
  for (const auto& [id, row] : tables_.generations()) {
    HF_ASSIGN(auto put, into_.prepare(sql::put_generation));
    put.bind(1, static_cast<std::int64_t>(id.value())).bind(2, row.spec_digest.str());
    put.bind(3, to_string(row.result)).bind(4, std::int64_t{row.ever_good ? 1 : 0});
    put.bind(5, static_cast<std::int64_t>(row.accepted.time_since_epoch().count()));
    HF_TRY(put.bind(6, row.actor).bind(7, row.reason).run());
  }
  for (const auto& [digest, row] : tables_.quarantine()) {
    HF_ASSIGN(auto put, into_.prepare(sql::add_quarantine));
    put.bind(1, digest.str()).bind(2, row.actor).bind(3, row.reason);
    put.bind(4, static_cast<std::int64_t>(row.since.time_since_epoch().count()));
    put.bind(5, encode_evidence(row.evidence));
    if (row.until) put.bind(6, static_cast<std::int64_t>(row.until->time_since_epoch().count()));
    HF_TRY(put.run());
  }
  return ok();
}

}  // namespace holdfast::deploy::ledger
