#pragma once
#include <compare>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/error.hpp"

namespace holdfast::proto::yaml {

/// A place in a document, counted from 1; columns count bytes.
struct Mark {
  std::size_t line = 1;
  std::size_t column = 1;
  auto operator<=>(const Mark&) const = default;
};

enum class Severity { error, warning };

struct Finding {
  Severity severity = Severity::error;
  Mark mark;
  std::string message;  ///< printable
  std::string hint;
  Errc code = Errc::spec_parse;
};

/// Everything that is wrong with one document. Beyond a thousand faults only their number is kept.
class Findings {
 public:
  void error(Mark mark, std::string message, std::string hint = {});
  /// An error of a value's own parser, after `where`.
  void error(Mark mark, std::string_view where, const Error& error);
  void warning(Mark mark, std::string message, std::string hint = {});
  [[nodiscard]] bool has_errors() const noexcept { return errors_ != 0; }
  /// Further faults are only counted; hints need not be worked out.
  [[nodiscard]] bool full() const noexcept { return left_out_ != 0; }
  /// In document order; equal places in order of discovery.
  [[nodiscard]] std::vector<Finding> sorted() const;

 private:
  void add(Finding finding);
  std::vector<Finding> all_;
  std::size_t errors_ = 0;
  std::size_t left_out_ = 0;
  Mark last_;
};

}  // namespace holdfast::proto::yaml
