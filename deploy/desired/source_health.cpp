#include "deploy/desired/source_health.hpp"

namespace holdfast::deploy::desired {

bool is_refusal(Errc code) {
  return code != Errc::not_found && disposition(code) == Disposition::reject;
}

SourceHealth::SourceHealth(std::string source, Milliseconds stale_after, BootTime now)
    : source_(std::move(source)), stale_after_(stale_after), good_at_(now) {}

bool SourceHealth::take(const Result<Candidate>& read, WallTime now_wall, BootTime now) {
  if (read) {
    good_at_ = now;
    good_time_ = now_wall;
    failure_.reset();
    failures_ = 0;
    return false;
  }
  const auto& error = read.error();
  if (error.code() == Errc::cancelled) return false;
  const bool news =
      !failure_ || failure_->code() != error.code() || failure_->what() != error.what();
  ++failures_;
  if (is_refusal(error.code())) ++refusals_[error.code()];
  failure_ = error;
  failed_time_ = now_wall;
  return news && is_refusal(error.code());
}

proto::Word<proto::api::SourceState> SourceHealth::state(const std::optional<TrustFacts>& trust,
                                                         WallTime now_wall, BootTime now) const {
  using enum proto::api::SourceState;
  if (now - good_at_ > stale_after_) return stale;
  // Somebody may be holding back what is newer: that is what `expires` is for.
  if (trust && trust->serial > 0 && trust->expires <= now_wall) return stale;
  if (failure_) return is_refusal(failure_->code()) ? refused : unreachable;
  return good_time_ ? current : waiting;
}

proto::api::SourceStatus SourceHealth::status(const std::optional<TrustFacts>& trust,
                                              WallTime now_wall, BootTime now) const {
  proto::api::SourceStatus status{.source = source_, .state = state(trust, now_wall, now)};
  if (good_time_) status.last_success = to_rfc3339(*good_time_);
  status.age_seconds = std::chrono::duration<double>(now - good_at_).count();
  if (trust) {
    status.serial = trust->serial;
    status.document = trust->document;
    if (trust->serial > 0) status.expires = to_rfc3339(trust->expires);
    status.root_version = trust->root_version;
    if (trust->root_version > 0) status.root_expires = to_rfc3339(trust->root_expires);
  }
  if (failure_) {
    status.refusal = proto::api::ErrorBody{std::string{code(failure_->code())}, failure_->what(),
                                           failure_->next_step()};
    status.refused_at = to_rfc3339(*failed_time_);
  }
  return status;
}

}  // namespace holdfast::deploy::desired
