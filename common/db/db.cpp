#include "common/db/db.hpp"

#include <fmt/format.h>
#include <sqlite3.h>

#include <utility>

namespace holdfast::db {
namespace {

Errc errc_of(int extended_code) {
  switch (extended_code & 0xFF) {
    case SQLITE_FULL:
      return Errc::nospace;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Errc::busy;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_TOOBIG:  // nothing of ours is
      return Errc::ledger_corrupt;
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_READONLY:
      return Errc::perm;
    case SQLITE_ERROR:
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
      return Errc::internal;
    default:
      return Errc::io;
  }
}

/// SQLite has one code for all that a file can refuse; the system's tells what passes again.
Errc errc_of(sqlite3* handle, int extended_code) {
  const auto code = errc_of(extended_code);
  if (code != Errc::io || handle == nullptr) return code;
  const auto precise = errc_from_errno(sqlite3_system_errno(handle));
  return precise == Errc::nospace || precise == Errc::busy ? precise : code;
}

Error failure(sqlite3* handle, int code) {
  const int extended = handle != nullptr ? sqlite3_extended_errcode(handle) : code;
  const char* text = handle != nullptr ? sqlite3_errmsg(handle) : sqlite3_errstr(code);
  return Error{errc_of(handle, extended), fmt::format("{} (SQLite code {})", text, extended)};
}

constexpr int kBusyMilliseconds = 5'000;
constexpr int kLongestValue = 16 << 20;     // of a row, too
constexpr int kLongestStatement = 1 << 20;  // those that a file brings too

}  // namespace

void Stmt::Finalize::operator()(sqlite3_stmt* handle) const { sqlite3_finalize(handle); }
void Db::Close::operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }

void Stmt::check_bind(int code) {
  if (bind_error_ == SQLITE_OK) bind_error_ = code;
}

Stmt& Stmt::bind(int parameter, std::int64_t value) {
  check_bind(sqlite3_bind_int64(handle_.get(), parameter, value));
  return *this;
}

Stmt& Stmt::bind(int parameter, std::string_view text) {
  const char* data = text.data() != nullptr ? text.data() : "";
  check_bind(sqlite3_bind_text64(handle_.get(), parameter, data, text.size(), SQLITE_TRANSIENT,
                                 SQLITE_UTF8));
  return *this;
}

Stmt& Stmt::bind_blob(int parameter, std::string_view bytes) {
  const char* data = bytes.data() != nullptr ? bytes.data() : "";
  check_bind(sqlite3_bind_blob64(handle_.get(), parameter, data, bytes.size(), SQLITE_TRANSIENT));
  return *this;
}

Result<bool> Stmt::step() {
  if (bind_error_ != SQLITE_OK)
    return failure(nullptr, std::exchange(bind_error_, SQLITE_OK)).in("bind");
  const int code = sqlite3_step(handle_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) {
    reset();
    return false;
  }
  auto error = failure(sqlite3_db_handle(handle_.get()), code);
  reset();
  return error;
}

Status Stmt::run() {
  for (;;) {
    HF_ASSIGN(const bool more, step());
    if (!more) return ok();
  }
}

void Stmt::reset() { sqlite3_reset(handle_.get()); }

std::int64_t Stmt::integer(int column) const { return sqlite3_column_int64(handle_.get(), column); }

std::string Stmt::text(int column) const {
  const void* data = sqlite3_column_blob(handle_.get(), column);
  const int size = sqlite3_column_bytes(handle_.get(), column);
  if (data == nullptr) return {};
  return {static_cast<const char*>(data), static_cast<std::size_t>(size)};
}

bool Stmt::is_null(int column) const {
  return sqlite3_column_type(handle_.get(), column) == SQLITE_NULL;
}

Result<Db> Db::open(const std::filesystem::path& path, OpenMode mode) {
  std::error_code ignored;
  if (mode == OpenMode::read_only && !std::filesystem::exists(path, ignored))
    return Error{Errc::not_found, fmt::format("open {}: no such file", path.string())};
  // SQLite would wait for the other end of a pipe.
  if (std::filesystem::exists(path, ignored) && path != ":memory:" &&
      !std::filesystem::is_regular_file(path, ignored))
    return Error{Errc::ledger_corrupt, fmt::format("open {}: no regular file", path.string())};
  const int access = mode == OpenMode::read_only ? SQLITE_OPEN_READONLY
                                                 : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &handle,
                                   access | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_NOMUTEX, nullptr);
  Db db{handle};
  if (code != SQLITE_OK) return failure(handle, code).in("open " + path.string());
  // What cannot be opened for writing SQLite opens for reading, without a word.
  if (mode == OpenMode::read_write && sqlite3_db_readonly(handle, "main") == 1)
    return Error{Errc::io, fmt::format("open {}: it can only be read", path.string())};
  if (auto ready = db.configure(mode); !ready)
    return std::move(ready).error().in("open " + path.string());
  return db;
}

Status Db::configure(OpenMode mode) {
  sqlite3* handle = handle_.get();
  sqlite3_busy_timeout(handle, kBusyMilliseconds);
  sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, kLongestValue);
  sqlite3_limit(handle, SQLITE_LIMIT_SQL_LENGTH, kLongestStatement);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_LOOKASIDE, nullptr, 0,
                    0);  // 48 KiB that an idle daemon need not hold
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_ENABLE_FKEY, 1, nullptr);
  HF_TRY(
      exec("PRAGMA cache_size = -256; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY; PRAGMA "
           "cell_size_check = ON;"));
  return mode == OpenMode::read_only ? exec("PRAGMA query_only = ON;") : ok();
}

Status Db::exec(std::string_view sql) {
  const char* next = sql.data();
  const char* const end = sql.data() + sql.size();
  while (next != end) {
    sqlite3_stmt* handle = nullptr;
    const char* rest = nullptr;
    const int code =
        sqlite3_prepare_v2(handle_.get(), next, static_cast<int>(end - next), &handle, &rest);
    if (code != SQLITE_OK) return failure(handle_.get(), code);
    next = rest;
    if (handle == nullptr) continue;  // blank or comment
    Stmt stmt{handle};
    HF_TRY(stmt.run());
  }
  return ok();
}

Result<Stmt> Db::prepare(std::string_view sql) {
  sqlite3_stmt* handle = nullptr;
  const int code =
      sqlite3_prepare_v2(handle_.get(), sql.data(), static_cast<int>(sql.size()), &handle, nullptr);
  if (code != SQLITE_OK) return failure(handle_.get(), code);
  if (handle == nullptr) return Error{Errc::internal, "prepare: no statement"};
  return Stmt{handle};
}

Result<std::int64_t> Db::integer(std::string_view sql) {
  HF_ASSIGN(auto stmt, prepare(sql));
  HF_ASSIGN(const bool row, stmt.step());
  if (!row) return Error{Errc::not_found, "no row"};
  return stmt.integer(0);
}

Result<std::string> Db::text(std::string_view sql) {
  HF_ASSIGN(auto stmt, prepare(sql));
  HF_ASSIGN(const bool row, stmt.step());
  if (!row) return Error{Errc::not_found, "no row"};
  return stmt.text(0);
}

bool Db::in_transaction() const { return sqlite3_get_autocommit(handle_.get()) == 0; }

Result<Transaction> Transaction::begin(Db& db, Begin kind) {
  HF_TRY(db.exec(kind == Begin::immediate ? "BEGIN IMMEDIATE" : "BEGIN"));
  return Transaction{db};
}

Status Transaction::commit() {
  auto done = db_->exec("COMMIT");
  // A failed COMMIT may leave the transaction open (busy) or already rolled back (full, I/O error).
  if (!done && db_->in_transaction()) (void)db_->exec("ROLLBACK");
  db_ = nullptr;
  return done;
}

Transaction::~Transaction() {
  if (db_ != nullptr && db_->in_transaction()) (void)db_->exec("ROLLBACK");
}

}  // namespace holdfast::db
