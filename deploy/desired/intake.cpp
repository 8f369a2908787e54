#include "deploy/desired/intake.hpp"

#include "common/log/log.hpp"

namespace holdfast::deploy::desired {
namespace {

constexpr std::chrono::seconds kRememberAfter{5};

/// A rollout that only waits for its window or the end of a hold gives way to a newer document.
bool takes_another(const proto::api::Status& status) {
  return !status.rollout || status.rollout->phase == "waiting";
}

}  // namespace

Intake::Intake(Memory& memory, const Clock& clock, SourceReads& reads)
    : memory_(memory), clock_(clock), reads_(reads) {}

void Intake::take(Result<Candidate> read) {
  if (!read) return failed(read.error());
  last_error_.clear();
  const bool known = seen_ ? seen_->sha256 == read->sha256 : memory_.is_last(*read);
  ++(known ? reads_.unchanged : reads_.updated);
  if (!known) waiting_ = true;
  seen_ = std::move(read).value();
}

void Intake::offer_again() { waiting_ = seen_.has_value(); }

std::optional<Candidate> Intake::offer(const proto::api::Status& status) {
  if (!waiting_ || !takes_another(status)) return std::nullopt;
  waiting_ = false;
  offered_ = seen_;
  remember_at_ = clock_.boot() + kRememberAfter;
  log::info("event=source_changed source={} sha256={}", log::field(offered_->origin),
            offered_->sha256.substr(0, 12));
  return offered_;
}

void Intake::settle() {
  if (!remember_at_ || clock_.boot() < *remember_at_) return;
  remember_at_.reset();
  if (auto done = memory_.remember(*offered_); !done)
    log::warn("event=source_not_remembered error={}", log::field(done.error().to_string()));
}

void Intake::failed(const Error& error) {
  if (error.code() == Errc::cancelled) return;
  ++reads_.error;
  if (error.what() == last_error_) return;
  last_error_ = error.what();
  if (error.code() == Errc::not_found) {
    log::info("event=source_absent reason={}", log::field(error.what()));
  } else {
    log::error("event=source_unreadable error={}", log::field(error.to_string()));
  }
}

}  // namespace holdfast::deploy::desired
