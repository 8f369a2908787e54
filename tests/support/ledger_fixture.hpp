#pragma once
/// \file
/// A ledger in a directory of its own, and small batches for it.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "common/base/text.hpp"
#include "common/db/db.hpp"
#include "common/os/file.hpp"
#include "deploy/ledger/ledger.hpp"

namespace holdfast::test {

template <class... Args>
std::string fmt(fmt::format_string<Args...> format, Args&&... args) {
  return ::fmt::format(format, std::forward<Args>(args)...);
}

inline proto::Digest digest(char c) { return proto::Digest::of(std::string(1, c)); }

/// A batch of one entry.
inline deploy::ledger::Batch note(std::string reason) {
  proto::Entry entry;
  entry.kind = proto::EntryKind::drift_detected;
  entry.reason = std::move(reason);
  return {.entries = {entry}};
}

/// A batch as the engine writes it when it accepts generation `id`: two entries, the document
/// "name: <c>", progress.
inline deploy::ledger::Batch accept(std::uint64_t id, char c) {
  const deploy::plan::GenerationId generation{id};
  proto::Entry accepted;
  accepted.kind = proto::EntryKind::accepted;
  accepted.generation = id;
  accepted.spec_digest = digest(c);
  proto::Entry started = accepted;
  started.kind = proto::EntryKind::rollout_started;
  return {.entries = {accepted, started},
          .generation = deploy::ledger::NewGeneration{.id = generation,
                                                      .spec_digest = digest(c),
                                                      .document = fmt("name: {}\n", c),
                                                      .actor = "root (uid 0)",
                                                      .reason = "test",
                                                      .accepted = WallTime{}},
          .progress = fmt("{{\"at\":{}}}", id)};
}

class LedgerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto temporary = os::TempDir::create(std::filesystem::temp_directory_path(), "holdfast-ledger");
    ASSERT_TRUE(temporary);
    temporary_ = std::make_unique<os::TempDir>(std::move(temporary).value());
  }
  [[nodiscard]] std::filesystem::path dir() const { return temporary_->path() / "state"; }
  [[nodiscard]] std::unique_ptr<deploy::ledger::Ledger> open() const {
    auto ledger = deploy::ledger::open_ledger(dir());
    if (ledger) return std::move(ledger).value();
    ADD_FAILURE() << ledger.error().to_string();
    std::abort();
  }
  /// As somebody who knows SQL: without the triggers, which are there again afterwards.
  void edit(const std::string& sql) const {
    auto db = db::Db::open(dir() / "ledger.db", db::OpenMode::read_write);
    ASSERT_TRUE(db);
    std::string drop;
    std::string make;
    auto rows = db->prepare("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'");
    ASSERT_TRUE(rows);
    while (*rows->step()) {
      drop += fmt("DROP TRIGGER \"{}\"; ", rows->text(0));
      make += rows->text(1) + "; ";
    }
    for (const auto& part : {drop, sql, make}) {
      const auto done = db->exec(part);
      ASSERT_TRUE(done) << done.error().to_string();
    }
  }
  [[nodiscard]] std::string head_file() const {
    const auto text = os::read_file(dir() / "HEAD");
    return text ? std::string{trim(*text)} : text.error().what();
  }
  std::unique_ptr<os::TempDir> temporary_;
};

}  // namespace holdfast::test
