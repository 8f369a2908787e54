#include "deploy/ledger/patient.hpp"

#include <fmt/format.h>

#include "common/os/process.hpp"

namespace holdfast::deploy::ledger {

PatientLedger::PatientLedger(std::unique_ptr<Ledger> inner, std::filesystem::path state_dir,
                             std::chrono::milliseconds patience)
    : inner_(std::move(inner)),
      state_dir_(std::move(state_dir)),
      patience_(patience),
      thread_([this] { work(); }) {}

PatientLedger::~PatientLedger() {
  {
    const std::lock_guard lock{mutex_};
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void PatientLedger::work() {
  os::name_this_thread("ledger");
  std::unique_lock lock{mutex_};
  for (;;) {
    changed_.wait(lock, [&] { return ending_ || (job_ && !outcome_); });
    if (!job_ || outcome_) return;
    lock.unlock();
    auto done = inner_->commit(*job_);
    lock.lock();
    outcome_ = std::move(done);
    changed_.notify_all();
  }
}

Error PatientLedger::too_slow() const {
  return Error{Errc::busy,
               fmt::format("the disk has not taken an entry for {} ms", patience_.count())};
}

Result<Head> PatientLedger::commit(const Batch& batch) {
  if (doubted_) return too_slow();
  std::unique_lock lock{mutex_};
  job_ = batch;
  changed_.notify_all();
  if (!changed_.wait_for(lock, patience_, [&] { return outcome_.has_value(); })) {
    doubted_ = true;
    return too_slow();
  }
  job_.reset();
  return *std::exchange(outcome_, std::nullopt);
}

std::optional<Result<Head>> PatientLedger::outcome() {
  const std::lock_guard lock{mutex_};
  if (!doubted_ || !outcome_) return std::nullopt;
  doubted_ = false;
  job_.reset();
  return std::exchange(outcome_, std::nullopt);
}

Result<Reader*> PatientLedger::reader() {
  if (!doubted_) return inner_.get();
  if (!beside_) {
    HF_ASSIGN(beside_, open_reader(state_dir_));
  }
  return beside_.get();
}

Result<std::vector<Generation>> PatientLedger::generations() {
  HF_ASSIGN(auto* from, reader());
  return from->generations();
}

Result<std::string> PatientLedger::document(const proto::Digest& spec_digest) {
  HF_ASSIGN(auto* from, reader());
  return from->document(spec_digest);
}

Result<std::vector<NumberedEntry>> PatientLedger::entries(std::uint64_t after, std::size_t limit) {
  HF_ASSIGN(auto* from, reader());
  return from->entries(after, limit);
}

Result<std::vector<NumberedEntry>> PatientLedger::entries_of(GenerationId id) {
  HF_ASSIGN(auto* from, reader());
  return from->entries_of(id);
}

Result<std::vector<Quarantine>> PatientLedger::quarantine() {
  HF_ASSIGN(auto* from, reader());
  return from->quarantine();
}

Result<Head> PatientLedger::head() {
  HF_ASSIGN(auto* from, reader());
  return from->head();
}

Result<Verification> PatientLedger::verify() {
  HF_ASSIGN(auto* from, reader());
  return from->verify();
}

Result<std::optional<std::string>> PatientLedger::progress() {
  if (doubted_) return too_slow();
  return inner_->progress();
}

}  // namespace holdfast::deploy::ledger
