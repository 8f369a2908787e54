#include "deploy/ledger/backup.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "deploy/ledger/check.hpp"
#include "deploy/ledger/queries.hpp"

namespace holdfast::deploy::ledger {
namespace {

namespace fs = std::filesystem;

/// What a full disk leaves to the ledger itself.
constexpr std::uint64_t kLeaveFree = 8ULL << 20;

fs::path directory_of(const fs::path& state_dir) { return state_dir / "ledger.backup"; }

/// Number of the last entry and of commits, by the directory's name.
std::optional<std::pair<std::uint64_t, std::uint64_t>> parse_name(const fs::path& path) {
  const auto name = path.filename().string();
  const auto parts = split(name, '-');
  if (parts.size() != 2) return std::nullopt;
  const auto number = parse_number(parts[0]);
  const auto commits = parse_number(parts[1]);
  if (!number || !commits) return std::nullopt;
  return std::pair{*number, *commits};
}

std::uint64_t size_of(const fs::path& file) {
  std::error_code failed;
  const auto size = fs::file_size(file, failed);
  return failed ? 0 : size;
}

Status check_space(const fs::path& state_dir) {
  struct statvfs space {};
  if (::statvfs(state_dir.c_str(), &space) != 0) return ok();
  const auto free = std::uint64_t{space.f_bavail} * space.f_frsize;
  const auto needed =
      size_of(state_dir / "ledger.db") + size_of(state_dir / "ledger.db-wal") + kLeaveFree;
  if (free >= needed) return ok();
  return Error{Errc::nospace, fmt::format("a copy of the ledger needs {}, {} are free",
                                          human_bytes(needed), human_bytes(free))};
}

Status sync_file(const fs::path& path) {
  HF_ASSIGN(const auto fd, os::open_file(path, O_RDONLY));
  if (::fsync(fd.get()) != 0) return errno_error(errno, "fsync " + path.string());
  return ok();
}

/// A whole copy in `into`, with its HEAD; durable but for the name of the directory.
Result<Anchor> copy_into(db::Db& from, const fs::path& into) {
  HF_TRY(os::make_directories(into, 0700));
  const auto file = into / "ledger.db";
  HF_TRY(os::open_file(file, O_RDWR | O_CREAT | O_EXCL, 0600));  // SQLite would make it 0644
  HF_ASSIGN(auto copy, from.prepare("VACUUM INTO ?1"));
  HF_TRY(copy.bind(1, file.string()).run());
  Anchor anchor;
  {
    HF_ASSIGN(auto made, db::Db::open(file, db::OpenMode::read_only));
    HF_ASSIGN(auto check, check_chain(made, std::nullopt, Depth::content));
    if (check.fault && *check.fault != Errc::ledger_truncated)
      return Error{*check.fault, check.report.fault};
    HF_ASSIGN(const auto progress, read_progress(made));
    anchor = {check.report.head, check.commits, progress_digest(progress)};
  }
  HF_TRY(sync_file(file));
  HF_TRY(write_anchor(into, anchor));
  HF_TRY(os::sync_directory(into));
  return anchor;
}

void remove_old(const fs::path& state_dir) {
  std::uint64_t bytes = 0;
  std::size_t kept = 0;
  for (const auto& each : backups(state_dir)) {
    bytes += size_of(each / "ledger.db");
    const bool keep = kept == 0 || (kept < kBackups && bytes <= kBackupBytes);
    if (keep) {
      ++kept;
    } else {
      (void)os::remove_tree(each);
    }
  }
}

}  // namespace

bool is_whole(const fs::path& copy) {
  const auto anchor = read_anchor(copy);
  if (!anchor || !*anchor) return false;
  auto db = db::Db::open(copy / "ledger.db", db::OpenMode::read_only);
  if (!db) return false;
  const auto verdict = db->text("PRAGMA quick_check(1)");
  if (!verdict || *verdict != "ok") return false;
  const auto check = check_chain(*db, *anchor, Depth::content);
  return check && !check->fault;
}

std::vector<fs::path> backups(const fs::path& state_dir) {
  std::vector<fs::path> found;
  std::error_code failed;
  for (const auto& each : fs::directory_iterator{directory_of(state_dir), failed}) {
    if (parse_name(each.path())) found.push_back(each.path());
  }
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return *parse_name(a) > *parse_name(b); });
  return found;
}

Result<Head> back_up(const fs::path& state_dir) {
  HF_TRY(os::open_file(state_dir / "ledger.db", O_RDONLY));
  // Nothing is written through it, but SQLite calls a copy a write.
  HF_ASSIGN(auto from, db::Db::open(state_dir / "ledger.db", db::OpenMode::read_write));
  HF_ASSIGN(const auto commits, from.integer("SELECT commits FROM state WHERE id = 1"));
  const auto former = backups(state_dir);
  if (!former.empty() && static_cast<std::int64_t>(parse_name(former.front())->second) == commits) {
    if (const auto anchor = read_anchor(former.front()); anchor && *anchor) return (*anchor)->head;
  }
  HF_TRY(check_space(state_dir));
  const auto fresh = directory_of(state_dir) / "new";
  HF_TRY(os::remove_tree(fresh));
  auto made = copy_into(from, fresh);
  if (!made) {
    (void)os::remove_tree(fresh);
    return std::move(made).error().in("back up the ledger");
  }
  const auto name = fmt::format("{:012}-{}", made->head.number, made->commits);
  HF_TRY(os::remove_tree(directory_of(state_dir) / name));  // of the same commit, and not whole
  if (::rename(fresh.c_str(), (directory_of(state_dir) / name).c_str()) != 0)
    return errno_error(errno, "rename " + fresh.string());
  HF_TRY(os::sync_directory(directory_of(state_dir)));
  HF_TRY(os::sync_directory(state_dir));
  remove_old(state_dir);
  return made->head;
}

}  // namespace holdfast::deploy::ledger
