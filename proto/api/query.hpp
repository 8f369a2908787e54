#pragma once
/// \file
/// Queries of the API as structs. Percent coding is the caller's.

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/base/result.hpp"
#include "proto/api/messages.hpp"

namespace holdfast::proto::api {

/// Name and value of each member but empty texts and absent optionals; flags are 1 or 0. For
/// every query named in members.hpp.
template <class T>
[[nodiscard]] std::vector<std::pair<std::string, std::string>> query_of(const T& query);

/// The other way; what is not there keeps its default, unknown names are ignored. Errors: usage,
/// naming the member.
template <class T>
[[nodiscard]] Result<T> read_query(const std::map<std::string, std::string>& given);

}  // namespace holdfast::proto::api
