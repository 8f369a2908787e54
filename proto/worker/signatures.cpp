#include "proto/worker/signatures.hpp"

#include <boost/json.hpp>
#include <span>

#include "common/base/base64.hpp"
#include "common/base/text.hpp"
#include "proto/json/fields.hpp"
#include "proto/worker/failure.hpp"

namespace holdfast::proto::worker {
namespace {

namespace bj = boost::json;

std::string base64(const std::string& bytes) { return to_base64(std::as_bytes(std::span{bytes})); }

Result<std::string> bytes_field(const bj::object& object, std::string_view key) {
  auto bytes = from_base64(json::string_field(object, key));
  if (!bytes) return Error{Errc::usage, "malformed question about signatures"};
  return std::move(bytes).value();
}

}  // namespace

std::string encode(const SignatureQuestion& question) {
  bj::array claimed;
  for (const auto& [key, signature] : question.claimed)
    claimed.push_back(bj::object{{"key", base64(key)}, {"signature", base64(signature)}});
  return bj::serialize(
      bj::object{{"message", base64(question.message)}, {"claimed", std::move(claimed)}});
}

Result<SignatureQuestion> decode_signature_question(std::string_view text) {
  HF_ASSIGN(const bj::object object, json::json_object(text, Errc::usage));
  SignatureQuestion question;
  HF_ASSIGN(question.message, bytes_field(object, "message"));
  const auto* claimed = object.if_contains("claimed");
  if (claimed == nullptr || !claimed->is_array())
    return Error{Errc::usage, "a question about no signatures"};
  for (const auto& value : claimed->get_array()) {
    if (!value.is_object()) return Error{Errc::usage, "malformed claim"};
    HF_ASSIGN(auto key, bytes_field(value.get_object(), "key"));
    HF_ASSIGN(auto signature, bytes_field(value.get_object(), "signature"));
    question.claimed.emplace_back(std::move(key), std::move(signature));
  }
  return question;
}

std::string encode_signature_answer(const Result<std::vector<bool>>& answer) {
  if (!answer) return encode_failure(answer.error());
  bj::array valid;
  for (const bool each : *answer) valid.emplace_back(each);
  return bj::serialize(bj::object{{"valid", std::move(valid)}});
}

Result<std::vector<bool>> decode_signature_answer(std::string_view text) {
  HF_ASSIGN(const bj::object object, report_object(text));
  const auto* list = object.if_contains("valid");
  if (list == nullptr || !list->is_array())
    return Error{Errc::internal, "malformed answer about signatures"};
  std::vector<bool> valid;
  for (const auto& each : list->get_array()) {
    if (!each.is_bool()) return Error{Errc::internal, "malformed answer about signatures"};
    valid.push_back(each.get_bool());
  }
  return valid;
}

}  // namespace holdfast::proto::worker
