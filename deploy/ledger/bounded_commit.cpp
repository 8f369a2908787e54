#include "deploy/ledger/bounded_commit.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "common/os/process.hpp"

namespace holdfast::deploy::ledger {

BoundedCommitLedger::BoundedCommitLedger(std::unique_ptr<Ledger> inner,
                                         std::filesystem::path state_dir,
                                         std::chrono::milliseconds patience)
    : inner_(std::move(inner)),
      state_dir_(std::move(state_dir)),
      patience_(patience),
      thread_([this](const std::stop_token& stop) { work(stop); }) {}

void BoundedCommitLedger::work(const std::stop_token& stop) {
  os::name_this_thread("ledger");
  std::unique_lock lock{mutex_};
  while (changed_.wait(lock, stop, [&] { return job_ && !outcome_; })) {
    lock.unlock();
    auto done = inner_->commit(*job_);
    lock.lock();
    outcome_ = std::move(done);
    changed_.notify_all();
  }
}

Error BoundedCommitLedger::too_slow() const {
  return Error{Errc::busy,
               fmt::format("the disk has not taken an entry for {} ms", patience_.count())};
}

Result<Head> BoundedCommitLedger::commit(const Batch& batch) {
  if (in_doubt()) return too_slow();
  std::unique_lock lock{mutex_};
  job_ = batch;
  changed_.notify_all();
  const auto patience = batch.urgent ? std::min(patience_, kUrgentPatience) : patience_;
  if (!changed_.wait_for(lock, patience, [&] { return outcome_.has_value(); })) return too_slow();
  job_.reset();
  return *std::exchange(outcome_, std::nullopt);
}

std::optional<Outcome> BoundedCommitLedger::outcome() {
  const std::lock_guard lock{mutex_};
  if (!outcome_) return std::nullopt;
  beside_.reset();
  return Outcome{*std::exchange(job_, std::nullopt), *std::exchange(outcome_, std::nullopt)};
}

template <class Read>
auto BoundedCommitLedger::read(Read from) -> decltype(from(std::declval<Reader&>())) {
  if (!in_doubt()) return from(*inner_);
  if (!beside_) {
    HF_ASSIGN(beside_, open_reader(state_dir_));
  }
  return from(*beside_);
}

Result<std::vector<Generation>> BoundedCommitLedger::generations() {
  return read([](Reader& from) { return from.generations(); });
}

Result<std::string> BoundedCommitLedger::document(const proto::Digest& spec_digest) {
  return read([&](Reader& from) { return from.document(spec_digest); });
}

Result<std::vector<NumberedEntry>> BoundedCommitLedger::entries(std::uint64_t after,
                                                                std::size_t limit) {
  return read([&](Reader& from) { return from.entries(after, limit); });
}

Result<std::vector<NumberedEntry>> BoundedCommitLedger::entries_of(GenerationId id) {
  return read([&](Reader& from) { return from.entries_of(id); });
}

Result<std::vector<Quarantine>> BoundedCommitLedger::quarantine() {
  return read([](Reader& from) { return from.quarantine(); });
}

Result<Head> BoundedCommitLedger::head() {
  return read([](Reader& from) { return from.head(); });
}

Result<Verification> BoundedCommitLedger::verify() {
  return read([](Reader& from) { return from.verify(); });
}

Result<std::optional<std::string>> BoundedCommitLedger::progress() {
  if (in_doubt()) return too_slow();
  return inner_->progress();
}

}  // namespace holdfast::deploy::ledger
