#pragma once
#include <filesystem>
#include <string>

#include "common/base/result.hpp"
#include "deploy/desired/source.hpp"

namespace holdfast::deploy::desired {

/// What was last taken from a source, across restarts: a source that did not change meanwhile must
/// not undo what an operator applied by hand.
class Memory {
 public:
  virtual ~Memory() = default;
  [[nodiscard]] virtual bool is_last(const Candidate& candidate) const = 0;
  /// Errors: by errno.
  [[nodiscard]] virtual Status remember(const Candidate& candidate) = 0;
};

/// In a small file: "<sha256> <origin>".
class FileMemory final : public Memory {
 public:
  explicit FileMemory(std::filesystem::path file) : file_(std::move(file)) {}
  [[nodiscard]] bool is_last(const Candidate& candidate) const override;
  [[nodiscard]] Status remember(const Candidate& candidate) override;

 private:
  std::filesystem::path file_;
};

}  // namespace holdfast::deploy::desired
