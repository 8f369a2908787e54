#include "deploy/ledger/anchor.hpp"

#include <fmt/format.h>

#include "common/base/text.hpp"
#include "common/crypto/sha256.hpp"
#include "common/os/file.hpp"
#include "deploy/ledger/check.hpp"

namespace holdfast::deploy::ledger {

std::string progress_digest(const std::optional<std::string>& progress) {
  return crypto::sha256_hex(progress.value_or(std::string{}));
}

Result<std::optional<Anchor>> read_anchor(const std::filesystem::path& state_dir) {
  const auto path = state_dir / "HEAD";
  auto text = os::read_file(path, 256);
  if (!text && text.error().code() == Errc::not_found) return std::optional<Anchor>{};
  if (!text) return std::move(text).error();
  const auto fields = split(trim(*text), ' ');
  const bool whole = fields.size() == 3 || (fields.size() == 4 && fields[3].size() == 64);
  if (whole && fields[1].size() == 64) {
    const auto number = parse_number(fields[0]);
    const auto commits = parse_number(fields[2]);
    if (number && commits)
      return std::optional{Anchor{{*number, std::string{fields[1]}},
                                  *commits,
                                  std::string{fields.size() == 4 ? fields[3] : ""}}};
  }
  return Error{Errc::ledger_corrupt,
               fmt::format("{} is not \"<number> <hash> <commits> <progress>\"", path.string())}
      .hint(kRecoverHint);
}

Status write_anchor(const std::filesystem::path& state_dir, const Anchor& anchor) {
  // Always as long, so that the next one can be put over it: a rollback waits for this.
  constexpr std::size_t kWidth = 255;
  const auto line =
      fmt::format("{:<{}}\n",
                  fmt::format("{} {} {}{}{}", anchor.head.number, anchor.head.hash, anchor.commits,
                              anchor.progress.empty() ? "" : " ", anchor.progress),
                  kWidth);
  const auto path = state_dir / "HEAD";
  auto written = os::overwrite_sector(path, line);
  if (!written && written.error().code() == Errc::not_found)
    return os::write_atomic(path, line, 0600);
  return written;
}

}  // namespace holdfast::deploy::ledger
