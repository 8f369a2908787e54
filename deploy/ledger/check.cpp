#include "deploy/ledger/check.hpp"

#include <fmt/format.h>

#include "common/crypto/sha256.hpp"
#include "deploy/ledger/queries.hpp"
#include "deploy/ledger/schema.hpp"
#include "deploy/ledger/sql_text.hpp"

namespace holdfast::deploy::ledger {
namespace {

/// The chain, entry by entry; `check.report.fault` is set at the first fault.
class Walk {
 public:
  Walk(db::Db& db, const std::optional<Anchor>& anchor, Depth depth)
      : db_(db), anchor_(anchor), depth_(depth) {}

  Result<Check> run() {
    check_.report.head = {0, genesis()};
    const auto commits = db_.integer(sql::commits);
    if (commits) check_.commits = static_cast<std::uint64_t>(*commits);
    HF_ASSIGN(auto rows, db_.prepare(sql::chain));
    for (;;) {
      HF_ASSIGN(const bool more, rows.step());
      if (!more) break;
      HF_TRY(visit(rows));
    }
    if (!commits) differs("the state of the engine is gone: ledger.db was changed by others");
    compare_with_anchor();
    if (!check_.fault) HF_TRY(compare_tables());
    if (!check_.fault) HF_TRY(compare_last_commit());
    if (!check_.fault) HF_TRY(compare_schema());
    check_.report.intact = !check_.fault;
    return std::move(check_);
  }

 private:
  /// Of the chain itself, or of what HEAD says of its end.
  void fault(Errc code, std::string text) {
    check_.chain_whole = false;
    if (check_.fault) return;
    check_.fault = code;
    check_.report.fault = std::move(text);
  }

  void corrupt(std::string text) { fault(Errc::ledger_corrupt, std::move(text)); }

  Status visit(const db::Stmt& row) {
    auto& head = check_.report.head;
    const auto number = static_cast<std::uint64_t>(row.integer(0));
    const auto body = row.text(3);
    if (number != head.number + 1) corrupt(fmt::format("entry {} is missing", head.number + 1));
    if (proto::entry_hash(number, head.hash, body) != row.text(1))
      corrupt(fmt::format("entry {}: its hash does not match its content and the entry before",
                          number));
    head = {number, row.text(1)};
    ++check_.report.entries;
    if (anchor_ && anchor_->head.number == number && anchor_->head.hash != head.hash)
      corrupt(
          fmt::format("entry {} is not the one that HEAD names: ledger.db was replaced", number));
    if (!check_.chain_whole || (depth_ == Depth::opening && !tells_of_tables(body))) return ok();
    return read_content(number, body, static_cast<std::uint64_t>(row.integer(2)));
  }

  Status read_content(std::uint64_t number, const std::string& body, std::uint64_t generation) {
    const auto entry = proto::decode_entry(body);
    if (!entry) {
      corrupt(fmt::format("entry {}: {}", number, entry.error().what()));
      return ok();
    }
    if (entry->generation != generation)
      corrupt(fmt::format("entry {}: its generation column says {}, its content {}", number,
                          generation, entry->generation));
    if (auto applied = check_.told.apply(*entry); !applied)
      corrupt(fmt::format("entry {}: {}", number, applied.error().what()));
    const auto sum = entry->detail.find("document_sha256");
    if (sum == entry->detail.end() || !entry->spec_digest) return ok();
    const auto document = read_document(db_, *entry->spec_digest);
    if (!document || crypto::sha256_hex(*document) != sum->second)
      differs(fmt::format("entry {}: the document {} is not the one that was accepted", number,
                          entry->spec_digest->str()));
    return ok();
  }

  /// Before entries hold it in a form for programs, words tell of the tables.
  [[nodiscard]] bool tells_of_tables(const std::string& body) const {
    return !check_.told.covered() || body.find(kTablesDetail) != std::string::npos ||
           body.find("document_sha256") != std::string::npos;
  }

  void differs(std::string text) {
    if (check_.fault) return;
    check_.fault = Errc::ledger_corrupt;
    check_.report.fault = std::move(text);
    check_.tables_differ = true;
  }

  /// The tables are changed by commits only.
  Status compare_tables() {
    if (!check_.told.covered()) return ok();
    HF_ASSIGN(const auto found, read_tables(db_));
    if (auto difference_found = difference(found, check_.told))
      differs(*difference_found + ": ledger.db was changed by others");
    return ok();
  }

  /// So is the state of the engine, which HEAD or the last entry names.
  Status compare_last_commit() {
    if (!anchor_) return ok();
    HF_ASSIGN(const auto last, read_last_commit(db_, *anchor_));
    const auto found = compare_last(*anchor_, last);
    if (!found) return ok();
    if (found->kind == LastFault::Kind::edited) {
      differs(found->text);
    } else {
      fault(Errc::ledger_truncated, found->text);
    }
    return ok();
  }

  Status compare_schema() {
    HF_ASSIGN(const auto found, schema_difference(db_));
    if (found) differs(*found + ": ledger.db was changed by others");
    return ok();
  }

  void compare_with_anchor() {
    const auto& head = check_.report.head;
    if (!anchor_) {
      if (head.number > 0)
        fault(Errc::ledger_truncated,
              fmt::format("HEAD is missing, and ledger.db holds {} entries", head.number));
      return;
    }
    if (anchor_->head.number <= head.number) return;
    if (check_.commits < anchor_->commits) {
      fault(Errc::ledger_truncated,
            fmt::format("ledger.db is older than HEAD: it ends at entry {}, HEAD names entry {}; "
                        "an older copy was put back or "
                        "ledger.db-wal was deleted",
                        head.number, anchor_->head.number));
    } else {
      fault(Errc::ledger_truncated,
            fmt::format("entries {} to {} were deleted: HEAD names entry {}", head.number + 1,
                        anchor_->head.number, anchor_->head.number));
    }
  }

  db::Db& db_;
  const std::optional<Anchor>& anchor_;
  Depth depth_;
  Check check_;
};

}  // namespace

const std::string& genesis() {
  static const std::string zeros(64, '0');
  return zeros;
}

Result<LastCommit> read_last_commit(db::Db& db, const Anchor& anchor) {
  LastCommit last;
  HF_ASSIGN(last.head, read_head(db));
  HF_ASSIGN(const auto commits, db.integer(sql::commits));
  last.commits = static_cast<std::uint64_t>(commits);
  HF_ASSIGN(const auto progress, read_progress(db));
  last.progress = progress_digest(progress);
  if (last.commits <= anchor.commits) return last;  // HEAD names it then
  HF_ASSIGN(auto any, db.prepare(sql::any_entry_with));
  HF_ASSIGN(last.sealed, any.bind(1, kProgressDetail).step());
  HF_ASSIGN(auto rows, db.prepare(sql::bodies_after));
  rows.bind(1, static_cast<std::int64_t>(anchor.head.number));
  for (;;) {
    HF_ASSIGN(const bool more, rows.step());
    if (!more) return last;
    HF_ASSIGN(const auto entry, proto::decode_entry(rows.text(0)));
    const auto told = entry.detail.find(kProgressDetail);
    if (told != entry.detail.end()) last.told = told->second;
  }
}

Result<Check> check_chain(db::Db& db, const std::optional<Anchor>& anchor, Depth depth) {
  HF_ASSIGN(auto transaction, db::Transaction::begin(db, db::Begin::deferred));
  HF_TRY(check_readable(db));
  return Walk{db, anchor, depth}.run();
}

Result<Check> check_beside_writer(db::Db& db, const std::filesystem::path& state_dir) {
  constexpr int kLooks = 50;
  for (int left = kLooks;; --left) {
    const auto before = read_anchor(state_dir);
    const auto anchor = before ? *before : std::nullopt;
    HF_ASSIGN(auto check, check_chain(db, anchor, Depth::content));
    if (!check.fault || left == 1) return check;
    const auto after = read_anchor(state_dir);
    if (!after || *after == anchor) return check;
  }
}

}  // namespace holdfast::deploy::ledger
