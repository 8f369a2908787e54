#include "deploy/ledger/queries.hpp"

#include <fmt/format.h>

#include <array>
#include <boost/json.hpp>

#include "common/base/text.hpp"
#include "common/crypto/sha256.hpp"
#include "deploy/ledger/check.hpp"
#include "deploy/ledger/sql_text.hpp"
#include "proto/json/canonical.hpp"
#include "proto/json/json.hpp"

namespace holdfast::deploy::ledger {
namespace {

WallTime time_of(std::int64_t milliseconds) { return WallTime{Milliseconds{milliseconds}}; }

Result<proto::Digest> digest_of(const std::string& text) {
  auto digest = proto::Digest::parse(text);
  if (digest) return digest;
  return Error{Errc::ledger_corrupt, std::move(digest).error().what()};
}

Result<Generation> generation_of(const db::Stmt& row) {
  HF_ASSIGN(auto digest, digest_of(row.text(1)));
  HF_ASSIGN(const auto result, result_of(row.text(2)));
  return Generation{.id = GenerationId{static_cast<std::uint64_t>(row.integer(0))},
                    .spec_digest = std::move(digest),
                    .result = result,
                    .ever_good = row.integer(3) != 0,
                    .accepted = time_of(row.integer(4)),
                    .actor = row.text(5),
                    .reason = row.text(6)};
}

Result<std::vector<NumberedEntry>> collect_entries(db::Stmt query) {
  std::vector<NumberedEntry> found;
  for (;;) {
    HF_ASSIGN(const bool more, query.step());
    if (!more) return found;
    const auto number = static_cast<std::uint64_t>(query.integer(0));
    auto entry = proto::decode_entry(query.text(2));
    if (!entry) return std::move(entry).error().in(fmt::format("read entry {}", number));
    entry->detail.erase(kTablesDetail);
    entry->detail.erase(kProgressDetail);
    found.push_back({number, query.text(1), std::move(entry).value()});
  }
}

}  // namespace

Result<GenerationResult> result_of(std::string_view text) {
  using enum GenerationResult;
  constexpr std::array kAll{pending, good, failed, rolled_back, superseded};
  for (const auto value : kAll) {
    if (to_string(value) == text) return value;
  }
  return Error{Errc::ledger_corrupt, fmt::format("unknown result \"{}\"", printable(text))};
}

Result<Tables> read_tables(db::Db& db) {
  HF_ASSIGN(auto generations, read_generations(db));
  HF_ASSIGN(auto quarantine, read_quarantine(db));
  return Tables{std::move(generations), std::move(quarantine)};
}

Result<std::vector<Generation>> read_generations(db::Db& db) {
  std::vector<Generation> found;
  HF_ASSIGN(auto query, db.prepare(sql::generations));
  for (;;) {
    HF_ASSIGN(const bool more, query.step());
    if (!more) return found;
    HF_ASSIGN(auto generation, generation_of(query));
    found.push_back(std::move(generation));
  }
}

Result<std::string> read_document(db::Db& db, const proto::Digest& spec_digest) {
  HF_ASSIGN(auto query, db.prepare(sql::document));
  HF_ASSIGN(const bool found, query.bind(1, spec_digest.str()).step());
  if (!found)
    return Error{Errc::not_found, fmt::format("no document {} in the ledger", spec_digest.str())};
  return query.text(0);
}

Result<std::string> accepted_document(db::Db& db, const proto::Digest& spec_digest) {
  HF_ASSIGN(auto query, db.prepare(sql::chain));
  for (;;) {
    HF_ASSIGN(const bool more, query.step());
    if (!more)
      return Error{Errc::not_found,
                   fmt::format("no entry accepts a document {}", spec_digest.str())};
    const auto body = query.text(3);
    if (body.find(spec_digest.str()) == std::string::npos) continue;
    const auto entry = proto::decode_entry(body);
    if (!entry || entry->spec_digest != spec_digest) continue;
    const auto sum = entry->detail.find("document_sha256");
    if (sum != entry->detail.end()) return sum->second;
  }
}

Result<std::string> read_accepted_document(db::Db& db, const proto::Digest& spec_digest) {
  HF_ASSIGN(auto text, read_document(db, spec_digest));
  HF_ASSIGN(const auto accepted, accepted_document(db, spec_digest));
  if (accepted == crypto::sha256_hex(text)) return text;
  return Error{Errc::ledger_corrupt,
               fmt::format("document {} is not the one that was accepted", spec_digest.str())}
      .hint(kRecoverHint);
}

Result<std::vector<NumberedEntry>> read_entries(db::Db& db, std::uint64_t after,
                                                std::size_t limit) {
  HF_ASSIGN(auto query, db.prepare(sql::entries_after));
  query.bind(1, static_cast<std::int64_t>(after)).bind(2, static_cast<std::int64_t>(limit));
  return collect_entries(std::move(query));
}

Result<std::vector<NumberedEntry>> read_entries_of(db::Db& db, GenerationId id) {
  HF_ASSIGN(auto query, db.prepare(sql::entries_of));
  query.bind(1, static_cast<std::int64_t>(id.value()));
  return collect_entries(std::move(query));
}

Result<std::vector<Quarantine>> read_quarantine(db::Db& db) {
  std::vector<Quarantine> found;
  HF_ASSIGN(auto query, db.prepare(sql::quarantine));
  for (;;) {
    HF_ASSIGN(const bool more, query.step());
    if (!more) return found;
    HF_ASSIGN(auto digest, digest_of(query.text(0)));
    HF_ASSIGN(auto evidence, decode_evidence(query.text(4)));
    std::optional<WallTime> until;
    if (!query.is_null(5)) until = time_of(query.integer(5));
    found.push_back({std::move(digest), query.text(1), query.text(2), time_of(query.integer(3)),
                     std::move(evidence), until});
  }
}

std::string encode_evidence(const std::map<std::string, std::string>& evidence) {
  proto::json::Object object;
  for (const auto& [name, value] : evidence) object.set(well_formed(name), well_formed(value));
  return object.str();
}

Result<std::map<std::string, std::string>> decode_evidence(std::string_view text) {
  HF_ASSIGN(const auto value, proto::json::parse(text, Errc::ledger_corrupt));
  std::map<std::string, std::string> evidence;
  if (!value.is_object()) return Error{Errc::ledger_corrupt, "the evidence is not an object"};
  for (const auto& member : value.get_object()) {
    if (!member.value().is_string())
      return Error{Errc::ledger_corrupt, "the evidence holds something else than texts"};
    evidence.emplace(std::string{member.key()}, std::string{member.value().get_string()});
  }
  return evidence;
}

Result<Head> read_head(db::Db& db) {
  HF_ASSIGN(auto query, db.prepare(sql::head));
  HF_ASSIGN(const bool found, query.step());
  if (!found) return Head{0, genesis()};
  return Head{static_cast<std::uint64_t>(query.integer(0)), query.text(1)};
}

Result<Verification> verify_ledger(db::Db& db, const std::filesystem::path& state_dir) {
  const auto anchor = read_anchor(state_dir);
  HF_ASSIGN(auto check, check_beside_writer(db, state_dir));
  if (!anchor) {  // says more than "missing"
    check.report.intact = false;
    check.report.fault = anchor.error().what();
  }
  return std::move(check.report);
}

Result<std::optional<std::string>> read_progress(db::Db& db) {
  HF_ASSIGN(auto query, db.prepare(sql::progress));
  HF_ASSIGN(const bool found, query.step());
  if (!found || query.is_null(0)) return std::optional<std::string>{};
  return std::optional{query.text(0)};
}

}  // namespace holdfast::deploy::ledger
