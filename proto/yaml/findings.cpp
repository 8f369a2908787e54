#include "proto/yaml/findings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace holdfast::proto::yaml {
namespace {

constexpr std::size_t kMaxFindings = 1000;

}  // namespace

void Findings::error(Mark mark, std::string message, std::string hint) {
  ++errors_;
  add({Severity::error, mark, std::move(message), std::move(hint), Errc::spec_parse});
}

void Findings::error(Mark mark, std::string_view where, const Error& error) {
  ++errors_;
  add({Severity::error, mark, fmt::format("{} {}", where, error.what()), error.next_step(),
       error.code()});
}

void Findings::warning(Mark mark, std::string message, std::string hint) {
  add({Severity::warning, mark, std::move(message), std::move(hint), Errc::spec_parse});
}

void Findings::add(Finding finding) {
  last_ = std::max(last_, finding.mark);
  if (all_.size() < kMaxFindings) {
    all_.push_back(std::move(finding));
  } else {
    ++left_out_;
  }
}

std::vector<Finding> Findings::sorted() const {
  auto result = all_;
  std::stable_sort(result.begin(), result.end(),
                   [](const Finding& a, const Finding& b) { return a.mark < b.mark; });
  if (left_out_ != 0) {
    result.push_back({Severity::error, last_,
                      fmt::format("{} more errors are not shown", left_out_), "",
                      Errc::spec_parse});
  }
  return result;
}

}  // namespace holdfast::proto::yaml
