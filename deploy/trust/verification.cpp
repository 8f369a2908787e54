#include "deploy/trust/verification.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/text.hpp"

namespace holdfast::deploy::trust {
namespace {

using proto::Deployment;
using proto::trust::Envelope;
using proto::trust::PublicKey;
using proto::trust::Root;

/// An envelope of the wanted kind.
Result<Envelope> envelope_of(std::string_view text, std::string_view type) {
  HF_ASSIGN(auto envelope, proto::trust::read_envelope(text));
  if (envelope.payload_type != type)
    return Error{Errc::sig_invalid, fmt::format("the envelope holds {}, not {}",
                                                printable(envelope.payload_type), type)};
  return envelope;
}

std::vector<PublicKey> all_keys(std::vector<PublicKey> some, const std::vector<PublicKey>& more) {
  for (const auto& key : more) {
    if (std::find(some.begin(), some.end(), key) == some.end()) some.push_back(key);
  }
  return some;
}

/// serial, issued and expires, which only a signed document must have.
Status has_signed_keys(const Deployment& document) {
  const auto* missing = !document.serial    ? "serial"
                        : !document.issued  ? "issued"
                        : !document.expires ? "expires"
                                            : nullptr;
  if (missing == nullptr) return ok();
  return Error{Errc::spec_parse, fmt::format("the signed document has no `{}`", missing)}.hint(
      "holdfast sign writes it");
}

Status is_for(const Root& root, const HostFacts& host, const Deployment& document) {
  if (document.name != root.deployment)
    return Error{Errc::spec_target, fmt::format("the document is of deployment \"{}\", the root of "
                                                "trust speaks for \"{}\"",
                                                document.name, root.deployment)};
  for (const auto& [key, value] : document.targets) {
    const auto label = host.labels.find(key);
    if (label == host.labels.end() || label->second != value)
      return Error{Errc::spec_target, fmt::format("the document is for hosts with {}={}",
                                                  printable(key), printable(value))};
  }
  return ok();
}

/// Whether the serial and the bytes may follow what was accepted last.
Status may_follow(const Floor& floor, std::uint64_t serial, const std::string& document) {
  if (serial < floor.serial)
    return Error{
        Errc::spec_rollback,
        fmt::format("serial {} is below {}, which was accepted before", serial, floor.serial)}
        .hint("publish the content again under a higher serial");
  if (serial == floor.serial && document != floor.document)
    return Error{Errc::spec_equivocation,
                 fmt::format("serial {} was accepted before with other bytes", serial)}
        .hint(
            "somebody signs two documents with one serial: find out who, then publish a higher "
            "one");
  if (floor.serial != 0 && serial - floor.serial > kLongestJump)
    return Error{Errc::policy, fmt::format("serial {} is more than {} above {}", serial,
                                           kLongestJump, floor.serial)}
        .hint("publish a serial that follows the last");
  return ok();
}

Status is_in_time(const Root& root, const Floor& floor, const HostFacts& host,
                  const Deployment& document) {
  const auto now = std::max(host.now, floor.time);
  if (root.expires <= now)
    return Error{Errc::spec_expired, fmt::format("version {} of the root of trust expired at {}",
                                                 root.version, to_rfc3339(root.expires))}
        .hint("publish its next version: holdfast root next");
  if (*document.expires <= now)
    return Error{Errc::spec_expired, "the document expired at " + to_rfc3339(*document.expires)}
        .hint("sign it again: holdfast sign --refresh");
  if (*document.issued > now + kMostAhead)
    return Error{Errc::host, fmt::format("the document was issued at {}, and here it is {}",
                                         to_rfc3339(*document.issued), to_rfc3339(host.now))}
        .hint("set the clock of this host, or of the one that signs");
  return ok();
}

}  // namespace

Result<Root> verify_first_root(std::string_view text, const CheckSignatures& check) {
  HF_ASSIGN(const auto envelope, envelope_of(text, proto::trust::kRootType));
  HF_ASSIGN(auto root, proto::trust::read_root(envelope.payload));
  HF_ASSIGN(const auto good, good_keys(envelope, root.root.keys, check));
  HF_TRY(meets_threshold(root.root, good, "the root of trust"));
  return root;
}

Result<Root> verify_next_root(const Root& current, std::string_view text,
                              const CheckSignatures& check) {
  HF_ASSIGN(const auto envelope, envelope_of(text, proto::trust::kRootType));
  HF_ASSIGN(auto next, proto::trust::read_root(envelope.payload));
  HF_ASSIGN(const auto good,
            good_keys(envelope, all_keys(current.root.keys, next.root.keys), check));
  const auto what = fmt::format("version {} of the root of trust", next.version);
  HF_TRY(meets_threshold(current.root, good, what + ", by the keys of the version before,"));
  HF_TRY(meets_threshold(next.root, good, what + ", by its own keys,"));
  if (next.version != current.version + 1)
    return Error{Errc::spec_rollback,
                 fmt::format("version {} of the root of trust does not follow version {}",
                             next.version, current.version)};
  if (next.deployment != current.deployment)
    return Error{Errc::spec_target, fmt::format("the root of trust is for \"{}\", not \"{}\"",
                                                next.deployment, current.deployment)};
  return next;
}

Result<AcceptedDocument> verify_document(const Root& root, const Floor& floor,
                                         const HostFacts& host, std::string_view text,
                                         const CheckSignatures& check) {
  HF_ASSIGN(auto envelope, envelope_of(text, proto::trust::kDeploymentType));
  HF_ASSIGN(auto good, good_keys(envelope, root.signers.keys, check));
  HF_TRY(meets_threshold(root.signers, good, "the document"));
  HF_ASSIGN(const auto document, proto::load_deployment(envelope.payload, "the signed document"));
  HF_TRY(has_signed_keys(document));
  HF_TRY(is_for(root, host, document));
  const auto digest = proto::Digest::of(envelope.payload).hex();
  HF_TRY(may_follow(floor, *document.serial, digest));
  AcceptedDocument accepted{.yaml = std::move(envelope.payload),
                            .document = digest,
                            .content = document.spec_digest.str(),
                            .serial = *document.serial,
                            .issued = *document.issued,
                            .expires = *document.expires,
                            .signers = std::move(good),
                            .novelty = Novelty::repeated};
  if (accepted.serial == floor.serial) return accepted;
  HF_TRY(is_in_time(root, floor, host, document));
  accepted.novelty = accepted.content == floor.content ? Novelty::refresh : Novelty::content;
  return accepted;
}

Floor raise(const Floor& floor, const AcceptedDocument& accepted) {
  if (accepted.serial < floor.serial) return floor;
  return {.serial = accepted.serial,
          .document = accepted.document,
          .content = accepted.content,
          .time = std::max(floor.time, accepted.issued),
          .expires = accepted.expires};
}

}  // namespace holdfast::deploy::trust
