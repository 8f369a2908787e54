#include "common/base/error.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace holdfast {
namespace {

struct Row {
  Errc value;
  std::string_view code;
  Disposition disposition;
};

using enum Disposition;

// In the order of the enum; checked by common/base tests.
constexpr std::array<Row, kErrcCount> kRows{{
    {Errc::ref_invalid, "E_REF_INVALID", reject},
    {Errc::digest_unsupported, "E_DIGEST_UNSUPPORTED", reject},
    {Errc::digest_mismatch, "E_DIGEST_MISMATCH", reject},
    {Errc::size_mismatch, "E_SIZE_MISMATCH", reject},
    {Errc::too_large, "E_TOO_LARGE", reject},
    {Errc::media_type, "E_MEDIA_TYPE", reject},
    {Errc::platform, "E_PLATFORM", reject},
    {Errc::spec_parse, "E_SPEC_PARSE", reject},
    {Errc::spec_expired, "E_SPEC_EXPIRED", reject},
    {Errc::spec_rollback, "E_SPEC_ROLLBACK", reject},
    {Errc::spec_equivocation, "E_SPEC_EQUIVOCATION", reject},
    {Errc::spec_target, "E_SPEC_TARGET", reject},
    {Errc::spec_threshold, "E_SPEC_THRESHOLD", reject},
    {Errc::policy, "E_POLICY", reject},
    {Errc::auth, "E_AUTH", retry},
    {Errc::tls, "E_TLS", retry},
    {Errc::redirect, "E_REDIRECT", retry},
    {Errc::ssrf, "E_SSRF", reject},
    {Errc::rate_limited, "E_RATE_LIMITED", retry},
    {Errc::net_timeout, "E_NET_TIMEOUT", retry},
    {Errc::net_slow, "E_NET_SLOW", retry},
    {Errc::registry, "E_REGISTRY", retry},
    {Errc::not_found, "E_NOT_FOUND", reject},
    {Errc::unreachable, "E_UNREACHABLE", retry},
    {Errc::sig_missing, "E_SIG_MISSING", reject},
    {Errc::sig_invalid, "E_SIG_INVALID", reject},
    {Errc::sig_identity, "E_SIG_IDENTITY", reject},
    {Errc::layer_unsafe, "E_LAYER_UNSAFE", reject},
    {Errc::layer_limit, "E_LAYER_LIMIT", reject},
    {Errc::layer_corrupt, "E_LAYER_CORRUPT", reject},
    {Errc::diffid_mismatch, "E_DIFFID_MISMATCH", reject},
    {Errc::user, "E_USER", reject},
    {Errc::runtime, "E_RUNTIME", reject},
    {Errc::cni, "E_CNI", retry},
    {Errc::conmon, "E_CONMON", reject},
    {Errc::port_in_use, "E_PORT_IN_USE", reject},
    {Errc::unhealthy, "E_UNHEALTHY", reject},
    {Errc::host, "E_HOST", reject},
    {Errc::nospace, "E_NOSPACE", retry},
    {Errc::io, "E_IO", retry},
    {Errc::ledger_corrupt, "E_LEDGER_CORRUPT", stop},
    {Errc::ledger_truncated, "E_LEDGER_TRUNCATED", stop},
    {Errc::busy, "E_BUSY", retry},
    {Errc::perm, "E_PERM", reject},
    {Errc::usage, "E_USAGE", reject},
    {Errc::quarantined, "E_QUARANTINED", reject},
    {Errc::held, "E_HELD", reject},
    {Errc::timed_out, "E_TIMED_OUT", retry},
    {Errc::cancelled, "E_CANCELLED", retry},
    {Errc::conflict, "E_CONFLICT", reject},
    {Errc::internal, "E_INTERNAL", reject},
}};

constexpr bool rows_match_enum() {
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    if (static_cast<std::size_t>(kRows[i].value) != i) return false;
  }
  return true;
}
static_assert(rows_match_enum(), "kRows must list every Errc in order");

}  // namespace

Disposition disposition(Errc code) noexcept {
  return kRows[static_cast<std::size_t>(code)].disposition;
}

std::string_view code(Errc value) noexcept { return kRows[static_cast<std::size_t>(value)].code; }

std::optional<Errc> errc_from_code(std::string_view text) noexcept {
  for (const auto& row : kRows) {
    if (row.code == text) return row.value;
  }
  return std::nullopt;
}

Error Error::in(std::string_view doing) && {
  what_.insert(0, ": ").insert(0, doing);
  return std::move(*this);
}

Error Error::hint(std::string_view next_step) && {
  if (hint_.empty()) hint_ = next_step;
  return std::move(*this);
}

std::string Error::to_string() const {
  std::string text{holdfast::code(code_)};
  text.append(": ").append(what_);
  if (!hint_.empty()) text.append(" (next: ").append(hint_).append(")");
  return text;
}

Errc errc_from_errno(int error_number) noexcept {
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
      return Errc::nospace;
    case EMFILE:
    case ENFILE:
      return Errc::busy;
    case EACCES:
    case EPERM:
      return Errc::perm;
    case ENOENT:
      return Errc::not_found;
    case ETIMEDOUT:
      return Errc::timed_out;
    case EADDRINUSE:
      return Errc::port_in_use;
    default:
      return Errc::io;
  }
}

Error errno_error(int error_number, std::string_view doing) {
  std::string what{doing};
  what.append(": ").append(std::strerror(error_number));
  return Error{errc_from_errno(error_number), std::move(what)};
}

}  // namespace holdfast
