#pragma once
/// \file
/// JSON of the API's messages. Member names are those of the structs; every member is written,
/// arrays also when they are empty, an absent optional is null. Text that is not UTF-8 is repaired
/// with U+FFFD.

#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"
#include "proto/api/messages.hpp"

namespace holdfast::proto::api {

/// For every message and for the lists named in members.hpp.
template <class T>
[[nodiscard]] std::string encode(const T& message);

/// The other way. Missing members keep their defaults. Unknown ones are ignored, so that the two
/// sides may differ by a version, but refused in the requests, where they are a slip. Errors:
/// usage, naming the member ("rollback.to is not a number").
template <class T>
[[nodiscard]] Result<T> decode(std::string_view json);

}  // namespace holdfast::proto::api
