#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "common/base/result.hpp"
#include "deploy/trust/verification.hpp"

namespace holdfast::deploy::desired {

/// What is believed, as it lies on the disk.
struct TrustState {
  std::string root;  ///< envelope of the last accepted root; empty: none was accepted yet
  trust::Floor floor;
  bool operator==(const TrustState&) const = default;
};

/// One file that is replaced as a whole, so that root and floor are never of two times: after a
/// kill or a power cut it is the old one or the new one. Blocks.
class TrustFile {
 public:
  explicit TrustFile(std::filesystem::path file) : file_(std::move(file)) {}

  /// Nothing where there is no file: nothing was ever accepted. Errors: ledger_corrupt (it is not
  /// as `write` leaves it: nothing is accepted then), by errno.
  [[nodiscard]] Result<TrustState> read() const;
  /// Durable when it returns. Errors: by errno.
  [[nodiscard]] Status write(const TrustState& state) const;

 private:
  std::filesystem::path file_;
};

}  // namespace holdfast::deploy::desired
