#pragma once
/// \file
/// SQLite with owners instead of handles and `Result` instead of codes.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/result.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace holdfast::db {

/// A prepared statement. Parameters and columns count as SQLite does: from 1 and from 0. Text and
/// blobs are copied when bound. Not thread safe; must not outlive its Db.
class Stmt {
 public:
  Stmt& bind(int parameter, std::int64_t value);
  Stmt& bind(int parameter, std::string_view text);
  Stmt& bind_blob(int parameter, std::string_view bytes);

  /// The next row; false at the end, after which the statement may be bound and run again.
  [[nodiscard]] Result<bool> step();
  /// Runs a statement that returns no rows (or whose rows do not matter) and makes it ready for the
  /// next run.
  [[nodiscard]] Status run();
  void reset();

  [[nodiscard]] std::int64_t integer(int column) const;
  /// Text or blob, as bytes. NULL is empty.
  [[nodiscard]] std::string text(int column) const;
  [[nodiscard]] bool is_null(int column) const;

 private:
  friend class Db;
  struct Finalize {
    void operator()(sqlite3_stmt* handle) const;
  };
  explicit Stmt(sqlite3_stmt* handle) : handle_(handle) {}
  void check_bind(int code);

  std::unique_ptr<sqlite3_stmt, Finalize> handle_;
  int bind_error_ = 0;  ///< first failure of a bind, reported by `step`
};

enum class OpenMode : std::uint8_t {
  read_only,   ///< errors: not_found when there is no such file
  read_write,  ///< created when absent
};

/// One connection, with extended result codes, foreign keys on, an untrusted schema, defensive
/// mode, checked cells, no memory map, 256 KiB of cache, values and rows up to 16 MiB and a busy
/// timeout of 5 s (packaging/doc/security.md 5.3). Errors of every call: nospace (SQLITE_FULL),
/// busy, ledger_corrupt (CORRUPT, NOTADB, TOOBIG), perm, not_found, internal (our SQL), else io.
/// Not thread safe; one connection a thread.
class Db {
 public:
  [[nodiscard]] static Result<Db> open(const std::filesystem::path& path, OpenMode mode);

  /// Runs one or several statements, dropping rows.
  [[nodiscard]] Status exec(std::string_view sql);
  [[nodiscard]] Result<Stmt> prepare(std::string_view sql);
  /// The first column of the first row. Errors: not_found without a row.
  [[nodiscard]] Result<std::int64_t> integer(std::string_view sql);
  [[nodiscard]] Result<std::string> text(std::string_view sql);
  /// Whether a transaction is open.
  [[nodiscard]] bool in_transaction() const;

 private:
  struct Close {
    void operator()(sqlite3* handle) const;
  };
  explicit Db(sqlite3* handle) : handle_(handle) {}
  [[nodiscard]] Status configure(OpenMode mode);
  std::unique_ptr<sqlite3, Close> handle_;
};

enum class Begin : std::uint8_t {
  deferred,   ///< a consistent picture for reading
  immediate,  ///< for writing: takes the lock at once
};

/// Rolled back on destruction unless committed.
class Transaction {
 public:
  [[nodiscard]] static Result<Transaction> begin(Db& db, Begin kind);
  Transaction(Transaction&& other) noexcept : db_(std::exchange(other.db_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  /// After a failure the transaction is rolled back.
  [[nodiscard]] Status commit();

 private:
  explicit Transaction(Db& db) : db_(&db) {}
  Db* db_;
};

}  // namespace holdfast::db
