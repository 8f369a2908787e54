#include "proto/worker/failure.hpp"

#include <boost/json.hpp>

#include "proto/json/fields.hpp"

namespace holdfast::proto::worker {

namespace bj = boost::json;

std::string encode_failure(const Error& error) {
  return bj::serialize(bj::object{
      {"error",
       {{"code", code(error.code())}, {"what", error.what()}, {"hint", error.next_step()}}}});
}

Result<bj::object> report_object(std::string_view text) {
  HF_ASSIGN(bj::object object, json::json_object(text, Errc::internal));
  const auto* error = object.if_contains("error");
  if (error == nullptr || !error->is_object()) return object;
  const auto& fields = error->as_object();
  const auto code = errc_from_code(json::string_field(fields, "code"));
  auto out = Error{code.value_or(Errc::internal), json::string_field(fields, "what")};
  return std::move(out).hint(json::string_field(fields, "hint"));
}

}  // namespace holdfast::proto::worker
