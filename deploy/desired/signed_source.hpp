#pragma once
#include <atomic>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "common/base/clock.hpp"
#include "deploy/desired/signed_bytes.hpp"
#include "deploy/desired/source.hpp"
#include "deploy/desired/trust_file.hpp"

namespace holdfast::deploy::desired {

/// A source whose documents count only when they are signed: fetches, follows the roots of trust,
/// judges (deploy/trust), and makes durable what is believed from then on before it gives anything
/// away. Killed at any instant, it finds the same document again and gives it again.
class SignedSource final : public Source {
 public:
  struct Parts {
    std::unique_ptr<SignedOrigin> origin;
    TrustFile state;
    std::filesystem::path first_root;
    std::map<std::string, std::string> labels;  ///< of this host, with "host"
    const Clock& clock;                         ///< outlives it
    /// Who does the arithmetic, within that stop.
    std::function<trust::CheckSignatures(std::stop_token)> checker;
  };
  explicit SignedSource(Parts parts) : parts_(std::move(parts)) {}

  [[nodiscard]] const std::string& origin() const override { return parts_.origin->name(); }
  [[nodiscard]] int fd() const override { return parts_.origin->fd(); }
  [[nodiscard]] bool take_changes() override { return parts_.origin->take_changes(); }
  /// Errors besides those of `Source`: those of `trust::verify_document` and
  /// `trust::verify_next_root`, of the origin, and of the state's file.
  [[nodiscard]] Result<Candidate> read(const std::stop_token& stop) override;
  void ask_for_all() override { ask_for_roots_ = true; }
  [[nodiscard]] std::optional<TrustFacts> trust() const override;

 private:
  /// What is believed, read and checked.
  struct Belief {
    TrustState state;
    proto::trust::Root root;
  };
  [[nodiscard]] Status begin(const trust::CheckSignatures& check);
  [[nodiscard]] Result<proto::trust::Root> root_to_begin_with(TrustState& state,
                                                              const trust::CheckSignatures& check);
  [[nodiscard]] Status follow_roots(const trust::CheckSignatures& check,
                                    const std::stop_token& stop);
  [[nodiscard]] Status believe(Belief belief);
  [[nodiscard]] Freshness wanted() const;
  [[nodiscard]] Result<Candidate> judge(const std::string& text,
                                        const trust::CheckSignatures& check);

  Parts parts_;
  std::optional<Belief> belief_;    ///< of the reading thread
  std::optional<Candidate> given_;  ///< the last one, while the origin has nothing else
  std::atomic<bool> ask_for_roots_{false};
  BootTime roots_due_{};  ///< then they are asked for, although the document stays the same
  mutable std::mutex mutex_;
  TrustFacts facts_;
};

}  // namespace holdfast::deploy::desired
