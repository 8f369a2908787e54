#pragma once
/// \file
/// What the daemon asks `holdfast-fetch signatures`, on its standard input, and the answer on its
/// standard output: the arithmetic of signatures and nothing else. Which keys count and what
/// follows is decided by who asks. JSON, one question a child.

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/result.hpp"

namespace holdfast::proto::worker {

inline constexpr std::size_t kMostSignatureQuestionBytes = 4U << 20;

struct SignatureQuestion {
  std::string message;
  std::vector<std::pair<std::string, std::string>> claimed;  ///< key (SPKI, DER) and signature
  bool operator==(const SignatureQuestion&) const = default;
};

[[nodiscard]] std::string encode(const SignatureQuestion& question);
/// Errors: usage (form).
[[nodiscard]] Result<SignatureQuestion> decode_signature_question(std::string_view text);

/// For each claim, in order, whether it is true.
[[nodiscard]] std::string encode_signature_answer(const Result<std::vector<bool>>& answer);
/// Errors: internal (form), and the child's.
[[nodiscard]] Result<std::vector<bool>> decode_signature_answer(std::string_view text);

}  // namespace holdfast::proto::worker
