#include "deploy/desired/signed_source.hpp"

#include <fmt/format.h>

#include "common/crypto/sha256.hpp"
#include "common/log/log.hpp"
#include "common/os/guarded_path.hpp"

namespace holdfast::deploy::desired {
namespace {

/// A key that was revoked counts no longer than this, or an interval, while roots can be had and
/// the document stays the same.
constexpr std::chrono::hours kRootsAtLeastEvery{1};
constexpr int kMostRootSteps = 1024;  // packaging/doc/security.md 5.2

std::map<std::string, std::string> evidence_of(const trust::AcceptedDocument& accepted,
                                               const proto::trust::Root& root) {
  std::string signers;
  for (const auto& key : accepted.signers) signers += (signers.empty() ? "" : ",") + key.short_id();
  return {{"serial", std::to_string(accepted.serial)},
          {"document", "sha256:" + accepted.document},
          {"root_version", std::to_string(root.version)},
          {"signed_by", std::move(signers)}};
}

}  // namespace

Result<Candidate> SignedSource::read(const std::stop_token& stop) {
  const auto check = parts_.checker(stop);
  HF_TRY(begin(check));
  HF_ASSIGN(auto bytes, parts_.origin->document(wanted(), stop));
  // The origin's last answer is another now: until that is judged nothing is "unchanged".
  if (!bytes.unchanged) given_.reset();
  if (given_ && !ask_for_roots_ && parts_.clock.boot() < roots_due_) return *given_;
  ask_for_roots_ = false;  // before: who asks meanwhile is answered by the next read
  if (auto done = follow_roots(check, stop); !done) {
    ask_for_roots_ = true;
    return std::move(done).error();
  }
  roots_due_ = parts_.clock.boot() + kRootsAtLeastEvery;
  if (given_) return *given_;
  if (bytes.unchanged) {  // whose keys may not count any more
    HF_ASSIGN(bytes, parts_.origin->document(Freshness::any, stop));
  }
  return judge(bytes.text, check);
}

/// What was given may be heard of again as "unchanged", unless time was up for it meanwhile.
Freshness SignedSource::wanted() const {
  const auto now = parts_.clock.wall();
  const bool stands = given_ && now < belief_->root.expires && now < belief_->state.floor.expires;
  return stands ? Freshness::if_changed : Freshness::any;
}

/// Reads what is believed, at the first read that gets this far.
Status SignedSource::begin(const trust::CheckSignatures& check) {
  if (belief_) return ok();
  HF_ASSIGN(auto state, parts_.state.read());
  HF_ASSIGN(auto root, root_to_begin_with(state, check));
  return believe({std::move(state), std::move(root)});
}

/// The last accepted root; the one that was put on the host by hand, where that is newer.
Result<proto::trust::Root> SignedSource::root_to_begin_with(TrustState& state,
                                                            const trust::CheckSignatures& check) {
  const auto doing = "read the root of trust " + parts_.first_root.string();
  auto text = os::read_trusted(parts_.first_root, proto::trust::kMostEnvelopeBytes);
  if (!text && text.error().code() == Errc::not_found)  // not that the source has nothing
    return Error{Errc::host, doing + ": there is no such file"}.hint(
        "put the root of trust there by hand: packaging/doc/signing.md 2");
  if (!text) return std::move(text).error().in(doing);
  auto first = trust::verify_first_root(*text, check);
  if (!first) return std::move(first).error().in(doing);
  if (!state.root.empty()) {
    HF_ASSIGN(auto last, trust::verify_first_root(state.root, check));
    if (last.deployment != first->deployment) {
      state.floor = {.time = state.floor.time};  // serials of another deployment say nothing here
    } else if (last.version >= first->version) {
      return last;
    }
  }
  state.root = std::move(text).value();
  return first;
}

/// Version after version, each durable before the next is asked for.
Status SignedSource::follow_roots(const trust::CheckSignatures& check,
                                  const std::stop_token& stop) {
  for (int step = 0; step < kMostRootSteps; ++step) {
    const auto version = belief_->root.version + 1;
    auto text = parts_.origin->root(version, stop);
    if (!text && text.error().code() == Errc::not_found) return ok();
    const auto doing = fmt::format("take version {} of the root of trust", version);
    if (!text) return std::move(text).error().in(doing);
    auto next = trust::verify_next_root(belief_->root, *text, check);
    if (!next) return std::move(next).error().in(doing);
    log::info("event=root_of_trust_changed version={} source={}", version, log::field(origin()));
    HF_TRY(believe({{std::move(text).value(), belief_->state.floor}, std::move(next).value()}));
    given_.reset();  // by keys that may not count any more
  }
  return Error{Errc::too_large,
               fmt::format("more than {} new versions of the root of trust", kMostRootSteps)};
}

/// Durable first, then true.
Status SignedSource::believe(Belief belief) {
  if (!belief_ || belief_->state != belief.state) HF_TRY(parts_.state.write(belief.state));
  const auto& floor = belief.state.floor;
  {
    const std::lock_guard lock{mutex_};
    facts_ = {.serial = floor.serial,
              .document = floor.document,
              .expires = floor.expires,
              .root_version = belief.root.version,
              .root_expires = belief.root.expires};
  }
  belief_ = std::move(belief);
  return ok();
}

Result<Candidate> SignedSource::judge(const std::string& text,
                                      const trust::CheckSignatures& check) {
  HF_ASSIGN(auto accepted,
            trust::verify_document(belief_->root, belief_->state.floor,
                                   {parts_.clock.wall(), parts_.labels}, text, check));
  if (accepted.novelty != trust::Novelty::repeated) {
    auto next = *belief_;
    next.state.floor = trust::raise(next.state.floor, accepted);
    HF_TRY(believe(std::move(next)));
    log::info("event=document_accepted serial={} document={} refresh={} source={}", accepted.serial,
              accepted.document.substr(0, 12), accepted.novelty == trust::Novelty::refresh,
              log::field(origin()));
  }
  auto evidence = evidence_of(accepted, belief_->root);
  given_ = Candidate{.text = std::move(accepted.yaml),
                     .sha256 = std::move(accepted.document),
                     .origin = origin(),
                     .time = accepted.issued,
                     .evidence = std::move(evidence)};
  return *given_;
}

std::optional<TrustFacts> SignedSource::trust() const {
  const std::lock_guard lock{mutex_};
  return facts_;
}

}  // namespace holdfast::deploy::desired
