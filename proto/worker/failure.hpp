#pragma once
/// \file
/// How a child says that it failed. For .cpp files, which include <boost/json.hpp> themselves.

#include <string>
#include <string_view>

#include "common/base/result.hpp"

namespace boost::json {
class object;
}  // namespace boost::json

namespace holdfast::proto::worker {

[[nodiscard]] std::string encode_failure(const Error& error);
/// The object of a report, or the failure that it carries. Errors: internal (form), and the
/// child's.
[[nodiscard]] Result<boost::json::object> report_object(std::string_view text);

}  // namespace holdfast::proto::worker
