#pragma once
/// \file
/// Every failure in Holdfast is an `Error`: a closed code that decides what happens next, a
/// sentence for people that grows from the inside out, and the next step for the operator.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

/// The closed vocabulary of failures. One to one with the stable machine codes of `code()`
/// ("E_DIGEST_MISMATCH").
enum class Errc : std::uint8_t {
  // references and documents
  ref_invalid,
  digest_unsupported,
  digest_mismatch,
  size_mismatch,
  too_large,
  media_type,
  platform,
  spec_parse,
  spec_expired,
  spec_rollback,
  spec_equivocation,
  spec_target,
  spec_threshold,
  policy,
  // network
  auth,
  tls,
  redirect,
  ssrf,
  rate_limited,
  net_timeout,
  net_slow,
  registry,
  not_found,
  unreachable,
  // signatures
  sig_missing,
  sig_invalid,
  sig_identity,
  // layers
  layer_unsafe,
  layer_limit,
  layer_corrupt,
  diffid_mismatch,
  // running
  user,
  runtime,
  cni,
  conmon,
  port_in_use,
  unhealthy,
  // host
  host,  ///< what the document names of this host is not there, or not as it must be
  nospace,
  io,
  ledger_corrupt,
  ledger_truncated,
  busy,
  perm,
  // control flow
  usage,
  quarantined,
  held,
  timed_out,
  cancelled,
  conflict,
  internal,
};

inline constexpr std::size_t kErrcCount = static_cast<std::size_t>(Errc::internal) + 1;

/// What the caller does about a failure; the engine acts on this alone.
enum class Disposition : std::uint8_t {
  retry,   ///< wait with backoff and try again, for ever
  reject,  ///< this generation cannot work: fail it and go back
  stop,    ///< accept no change but a local rollback; keep everything running
};

[[nodiscard]] Disposition disposition(Errc code) noexcept;

/// Stable machine code, e.g. "E_DIGEST_MISMATCH".
[[nodiscard]] std::string_view code(Errc value) noexcept;
/// Inverse of `code`; empty for an unknown code.
[[nodiscard]] std::optional<Errc> errc_from_code(std::string_view text) noexcept;

/// A failure with its trail. Text is lower case without a full stop, outermost action first:
/// "pull web: fetch manifest sha256:9bb1…: connection refused".
class [[nodiscard]] Error {
 public:
  Error(Errc code, std::string what) : code_(code), what_(std::move(what)) {}

  /// Prepends what this layer was doing, to which object: "pull web".
  [[nodiscard]] Error in(std::string_view doing) &&;
  /// Sets the next step for the operator unless an inner layer, which knows more, already did.
  [[nodiscard]] Error hint(std::string_view next_step) &&;

  [[nodiscard]] Errc code() const noexcept { return code_; }
  [[nodiscard]] const std::string& what() const noexcept { return what_; }
  [[nodiscard]] const std::string& next_step() const noexcept { return hint_; }
  /// "E_CODE: what (next: hint)".
  [[nodiscard]] std::string to_string() const;

  bool operator==(const Error&) const = default;

 private:
  Errc code_;
  std::string what_;
  std::string hint_;
};

/// `Errc` for an errno value: ENOSPC/EDQUOT → nospace, EMFILE/ENFILE → busy (they pass),
/// EACCES/EPERM → perm, ENOENT → not_found, else io.
[[nodiscard]] Errc errc_from_errno(int error_number) noexcept;
/// Error for a failed system call: "open /x: No such file or directory".
[[nodiscard]] Error errno_error(int error_number, std::string_view doing);

}  // namespace holdfast
