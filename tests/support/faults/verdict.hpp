#pragma once
/// \file
/// What happens to one call. No allocation, no exception: the calls come from anywhere.

#include <cstddef>
#include <cstdint>

#include "tests/support/faults/plan.hpp"

namespace holdfast::test::faults {

constexpr std::size_t kPathBytes = 4096;

struct Verdict {
  int error = 0;           ///< the call fails with it
  bool torn = false;       ///< half of it, then the end
  bool end_after = false;  ///< SIGKILL when it is done
  bool cut_after = false;  ///< and the power goes first
};

/// Whether anything is to be watched now: asked first, so that other calls cost nothing.
[[nodiscard]] bool watching();
/// Counts the call of `path`, and kills or delays by itself.
[[nodiscard]] Verdict before(Call call, const char* path);
void after(const Verdict& verdict);
[[noreturn]] void die();

/// Where the descriptor, or `name` below it, leads; `buffer` holds kPathBytes.
const char* path_of(int fd, char* buffer);
const char* path_at(int directory, const char* name, char* buffer);

/// What is added to a clock, in nanoseconds.
[[nodiscard]] std::int64_t clock_offset(int clock);
/// Variables for a program that is to be watched too; none when it is not.
struct Passed {
  const char* preload = nullptr;
  const char* plan = nullptr;
};
[[nodiscard]] Passed passed_to(const char* program);

}  // namespace holdfast::test::faults
