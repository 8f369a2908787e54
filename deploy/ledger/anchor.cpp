#include "deploy/ledger/anchor.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "common/base/text.hpp"
#include "common/crypto/sha256.hpp"
#include "common/os/file.hpp"
#include "deploy/ledger/check.hpp"

namespace holdfast::deploy::ledger {

std::string progress_digest(const std::optional<std::string>& progress) {
  return crypto::sha256_hex(progress.value_or(std::string{}));
}

std::optional<LastFault> compare_last(const Anchor& anchor, const LastCommit& file) {
  using enum LastFault::Kind;
  const bool ahead = !anchor.before.empty() && file.commits + 1 == anchor.commits;
  if (file.commits < anchor.commits && !ahead)
    return LastFault{older, fmt::format("ledger.db is older than HEAD: it ends at commit {}, HEAD "
                                        "names commit {}; an older copy was put back or "
                                        "ledger.db-wal was deleted",
                                        file.commits, anchor.commits)};
  if (file.commits > anchor.commits + 1)
    return LastFault{edited,
                     fmt::format("HEAD names commit {}, ledger.db holds {}: HEAD is written after "
                                 "each, so an older one was put back or others wrote to ledger.db",
                                 anchor.commits, file.commits)};
  const bool after = file.commits > anchor.commits;
  const bool entries = file.head.number > anchor.head.number;
  if (!after && entries)
    return LastFault{edited, fmt::format("HEAD names entry {}, ledger.db goes on to {} without a "
                                         "commit: others wrote to ledger.db",
                                         anchor.head.number, file.head.number)};
  if (after && !file.sealed) return std::nullopt;  // of a ledger whose entries do not tell yet
  if (after && file.told.empty())
    return LastFault{edited,
                     fmt::format("commit {} has no entry that tells of it, and HEAD does not "
                                 "name it: ledger.db was changed by others",
                                 file.commits)};
  const auto& named = after ? file.told : ahead ? anchor.before : anchor.progress;
  if (!after && named.empty()) return std::nullopt;
  if (file.progress == named) return std::nullopt;
  return LastFault{edited, fmt::format("what the agent was about to do is not what {}: ledger.db "
                                       "was changed by others",
                                       after ? "the last entry names" : "HEAD names")};
}

Result<std::optional<Anchor>> read_anchor(const std::filesystem::path& state_dir) {
  const auto path = state_dir / "HEAD";
  struct stat info {};
  if (::lstat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode))
    return Error{Errc::ledger_corrupt, fmt::format("{} is not a regular file", path.string())}.hint(
        kRecoverHint);
  auto text = os::read_regular_file(path, 256);
  if (!text && text.error().code() == Errc::not_found) return std::optional<Anchor>{};
  if (!text) return std::move(text).error();
  const auto fields = split(trim(*text), ' ');
  const bool digests = std::all_of(fields.begin() + std::min<std::ptrdiff_t>(3, std::ssize(fields)),
                                   fields.end(), [](auto field) { return field.size() == 64; });
  if (fields.size() >= 3 && fields.size() <= 5 && digests && fields[1].size() == 64) {
    const auto number = parse_number(fields[0]);
    const auto commits = parse_number(fields[2]);
    if (number && commits)
      return std::optional{Anchor{{*number, std::string{fields[1]}},
                                  *commits,
                                  std::string{fields.size() > 3 ? fields[3] : ""},
                                  std::string{fields.size() > 4 ? fields[4] : ""}}};
  }
  return Error{
      Errc::ledger_corrupt,
      fmt::format("{} is not \"<number> <hash> <commits> <progress> [<before>]\"", path.string())}
      .hint(kRecoverHint);
}

Status write_anchor(const std::filesystem::path& state_dir, const Anchor& anchor) {
  // Always as long, so that the next one can be put over it: a rollback waits for this.
  constexpr std::size_t kWidth = 255;
  const auto line =
      fmt::format("{:<{}}\n",
                  fmt::format("{} {} {}{}{}{}{}", anchor.head.number, anchor.head.hash,
                              anchor.commits, anchor.progress.empty() ? "" : " ", anchor.progress,
                              anchor.before.empty() ? "" : " ", anchor.before),
                  kWidth);
  const auto path = state_dir / "HEAD";
  auto written = os::overwrite_sector(path, line);
  if (!written && written.error().code() == Errc::not_found)
    return os::write_atomic(path, line, 0600);
  return written;
}

}  // namespace holdfast::deploy::ledger
