#pragma once
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>

#include "deploy/ledger/ledger.hpp"

namespace holdfast::deploy::ledger {

/// How long an urgent batch is waited for, where the disk is busy with what others write.
inline constexpr std::chrono::milliseconds kUrgentPatience{50};

/// A ledger whose commits are done by a thread of its own: whoever commits waits for a bounded
/// time, however long the disk takes for a flush. Reading meanwhile goes through a connection of
/// its own. Used by one thread; its end waits for the commit that is under way.
class BoundedCommitLedger final : public Ledger {
 public:
  /// `state_dir`: where `inner` is, for reading beside a commit.
  BoundedCommitLedger(std::unique_ptr<Ledger> inner, std::filesystem::path state_dir,
                      std::chrono::milliseconds patience);

  /// As `inner` does. Errors: busy too, when it is not done in time; then `in_doubt` is true.
  Result<Head> commit(const Batch& batch) override;
  [[nodiscard]] bool in_doubt() const override { return job_.has_value(); }
  std::optional<Outcome> outcome() override;

  Result<std::vector<Generation>> generations() override;
  Result<std::string> document(const proto::Digest& spec_digest) override;
  Result<std::vector<NumberedEntry>> entries(std::uint64_t after, std::size_t limit) override;
  Result<std::vector<NumberedEntry>> entries_of(GenerationId id) override;
  Result<std::vector<Quarantine>> quarantine() override;
  Result<Head> head() override;
  Result<Verification> verify() override;
  Result<std::optional<std::string>> progress() override;
  [[nodiscard]] bool stale() const override { return inner_->stale(); }

 private:
  void work(const std::stop_token& stop);
  [[nodiscard]] Error too_slow() const;
  template <class Read>
  [[nodiscard]] auto read(Read from) -> decltype(from(std::declval<Reader&>()));

  std::unique_ptr<Ledger> inner_;  ///< the thread's while `job_` is set and has no outcome
  std::filesystem::path state_dir_;
  std::chrono::milliseconds patience_;
  std::unique_ptr<Reader> beside_;  ///< for reading while a commit is in doubt

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::optional<Batch> job_;  ///< set and cleared by the caller's thread only
  std::optional<Result<Head>> outcome_;
  std::jthread thread_;
};

}  // namespace holdfast::deploy::ledger
