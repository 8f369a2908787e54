#pragma once
/// \file
/// `Result<T>`: a value or an `Error`. Member names follow `std::expected`, which C++20 does not
/// have.

#include <cstdio>
#include <cstdlib>
#include <type_traits>
#include <utility>
#include <variant>

#include "common/base/error.hpp"

namespace holdfast {

namespace detail {
/// Reading the absent side of a Result is a bug: abort with a message, in release builds too.
[[noreturn]] inline void bad_result_access(const char* what) {
  std::fprintf(stderr, "holdfast: broken invariant: %s\n", what);
  std::abort();
}
}  // namespace detail

template <class T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  Result(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit by design
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT
  template <class U>
  requires(std::is_convertible_v<U&&, T> && !std::is_same_v<std::remove_cvref_t<U>, T> &&
           !std::is_same_v<std::remove_cvref_t<U>, Error> &&
           !std::is_same_v<std::remove_cvref_t<U>, Result>) Result(U&& value)
      : state_(std::in_place_index<0>, std::forward<U>(value)) {}  // NOLINT

  [[nodiscard]] bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  [[nodiscard]] T& value() & { return checked(); }
  [[nodiscard]] const T& value() const& { return const_cast<Result*>(this)->checked(); }
  [[nodiscard]] T value() && { return std::move(checked()); }
  T& operator*() & { return checked(); }
  const T& operator*() const& { return const_cast<Result*>(this)->checked(); }
  T operator*() && { return std::move(checked()); }
  T* operator->() { return &checked(); }
  const T* operator->() const { return &const_cast<Result*>(this)->checked(); }

  [[nodiscard]] const Error& error() const& { return const_cast<Result*>(this)->checked_error(); }
  [[nodiscard]] Error error() && { return std::move(checked_error()); }

 private:
  T& checked() {
    if (!has_value()) detail::bad_result_access(std::get<1>(state_).what().c_str());
    return *std::get_if<0>(&state_);
  }
  Error& checked_error() {
    if (has_value()) detail::bad_result_access("error() of a Result that holds a value");
    return *std::get_if<1>(&state_);
  }

  std::variant<T, Error> state_;
};

/// Success or an `Error`.
using Status = Result<std::monostate>;
[[nodiscard]] inline Status ok() { return std::monostate{}; }

}  // namespace holdfast

/// Returns the error of `expr` from the calling function, if it failed.
#define HF_TRY(expr)                                                                 \
  do {                                                                               \
    if (auto hf_status_ = (expr); !hf_status_) return std::move(hf_status_).error(); \
  } while (false)

#define HF_CONCAT_INNER(a, b) a##b
#define HF_CONCAT(a, b) HF_CONCAT_INNER(a, b)
/// Declares `lhs` from the value of `expr`, or returns its error: `HF_ASSIGN(auto fd, open(path));`
#define HF_ASSIGN(lhs, expr) HF_ASSIGN_IMPL(HF_CONCAT(hf_result_, __LINE__), lhs, expr)
#define HF_ASSIGN_IMPL(tmp, lhs, expr)     \
  auto tmp = (expr);                       \
  if (!tmp) return std::move(tmp).error(); \
  lhs = std::move(tmp).value()
