#include "deploy/desired/memory.hpp"

#include <fmt/format.h>

#include "common/os/file.hpp"

namespace holdfast::deploy::desired {
namespace {

constexpr std::size_t kMostBytes = 8192;  // a digest and a path

std::string line_of(const Candidate& candidate) {
  return fmt::format("{} {}\n", candidate.sha256, candidate.origin);
}

}  // namespace

bool FileMemory::is_last(const Candidate& candidate) const {
  const auto text = os::read_regular_file(file_, kMostBytes);
  return text && *text == line_of(candidate);
}

Status FileMemory::remember(const Candidate& candidate) {
  return os::write_atomic(file_, line_of(candidate), 0600);
}

}  // namespace holdfast::deploy::desired
