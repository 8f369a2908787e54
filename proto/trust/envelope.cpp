#include "proto/trust/envelope.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <span>

#include "common/base/base64.hpp"
#include "common/base/text.hpp"
#include "proto/json/json.hpp"
#include "proto/json/writer.hpp"

namespace holdfast::proto::trust {
namespace {

namespace bj = boost::json;

constexpr std::size_t kLongestType = 128;
constexpr std::size_t kLongestKeyId = 128;

Error malformed(std::string what) { return Error{Errc::sig_invalid, std::move(what)}; }

/// What people put there by mistake, and what comes in place of it over bad networks.
Error no_envelope(std::string_view text) {
  const auto start = trim(text.substr(0, 256));
  if (start.starts_with('<'))
    return malformed("this is HTML, not a signed document")
        .hint("look at what answers at its place");
  if (start.find("apiVersion") != std::string_view::npos && !start.starts_with('{'))
    return Error{Errc::sig_missing, "this is a document without a signature"}.hint(
        "sign it: holdfast sign --key KEY FILE");
  return malformed("this is not a signed document (a DSSE envelope)");
}

Result<std::string> text_member(const bj::object& object, std::string_view key, std::size_t most) {
  const auto* value = object.if_contains(key);
  if (value == nullptr || !value->is_string())
    return malformed(fmt::format("the envelope has no text \"{}\"", key));
  const auto& text = value->get_string();
  if (text.size() > most)
    return Error{Errc::too_large,
                 fmt::format("\"{}\" of the envelope is longer than {}", key, human_bytes(most))};
  return std::string{text};
}

Result<std::string> base64_member(const bj::object& object, std::string_view key,
                                  std::size_t most) {
  HF_ASSIGN(const auto text, text_member(object, key, (most + 2) / 3 * 4));
  auto bytes = from_base64(text);
  if (!bytes) return malformed(fmt::format("\"{}\" of the envelope is not base64", key));
  if (bytes->size() > most)
    return Error{Errc::too_large,
                 fmt::format("\"{}\" of the envelope is longer than {}", key, human_bytes(most))};
  return std::move(bytes).value();
}

/// Whatever has another name may say what somebody else believes.
Status only_members(const bj::object& object, std::initializer_list<std::string_view> known) {
  for (const auto& member : object) {
    const std::string_view key{member.key().data(), member.key().size()};
    if (std::find(known.begin(), known.end(), key) == known.end())
      return malformed(fmt::format("the envelope has an unknown member \"{}\"",
                                   printable(key.substr(0, kLongestType))));
  }
  return ok();
}

Result<Signature> read_signature(const bj::value& value) {
  if (!value.is_object()) return malformed("a signature of the envelope is no object");
  const auto& object = value.get_object();
  HF_TRY(only_members(object, {"keyid", "sig"}));
  Signature signature;
  if (object.contains("keyid")) {
    HF_ASSIGN(signature.key_id, text_member(object, "keyid", kLongestKeyId));
  }
  HF_ASSIGN(signature.bytes, base64_member(object, "sig", kMostSignatureBytes));
  return signature;
}

Result<std::vector<Signature>> read_signatures(const bj::object& object) {
  const auto* list = object.if_contains("signatures");
  if (list == nullptr || !list->is_array()) return malformed("the envelope has no \"signatures\"");
  const auto& items = list->get_array();
  if (items.empty()) return Error{Errc::sig_missing, "the envelope has no signature"};
  if (items.size() > kMostSignatures)
    return Error{Errc::too_large, fmt::format("the envelope has {} signatures, more than {}",
                                              items.size(), kMostSignatures)};
  std::vector<Signature> signatures;
  for (const auto& item : items) {
    HF_ASSIGN(auto signature, read_signature(item));
    signatures.push_back(std::move(signature));
  }
  return signatures;
}

}  // namespace

Result<Envelope> read_envelope(std::string_view text) {
  if (text.size() > kMostEnvelopeBytes)
    return Error{Errc::too_large, fmt::format("the signed document is larger than {}",
                                              human_bytes(kMostEnvelopeBytes))};
  if (!trim(text).starts_with('{')) return no_envelope(text);
  HF_ASSIGN(const bj::value value, json::parse(text, Errc::sig_invalid));
  const auto& object = value.as_object();
  HF_TRY(only_members(object, {"payloadType", "payload", "signatures"}));
  Envelope envelope;
  HF_ASSIGN(envelope.payload_type, text_member(object, "payloadType", kLongestType));
  HF_ASSIGN(envelope.payload, base64_member(object, "payload", kMostPayloadBytes));
  HF_ASSIGN(envelope.signatures, read_signatures(object));
  return envelope;
}

std::string write_envelope(const Envelope& envelope) {
  const auto base64 = [](const std::string& bytes) {
    return to_base64(std::as_bytes(std::span{bytes}));
  };
  json::Writer json{json::Layout::indented};
  json.begin_object();
  json.key("payloadType").value(envelope.payload_type);
  json.key("payload").value(base64(envelope.payload));
  json.key("signatures").begin_array();
  for (const auto& signature : envelope.signatures) {
    json.begin_object();
    if (!signature.key_id.empty()) json.key("keyid").value(signature.key_id);
    json.key("sig").value(base64(signature.bytes));
    json.end_object();
  }
  json.end_array().end_object();
  return std::move(json).take() + "\n";
}

std::string pae(std::string_view payload_type, std::string_view payload) {
  return fmt::format("DSSEv1 {} {} {} {}", payload_type.size(), payload_type, payload.size(),
                     payload);
}

}  // namespace holdfast::proto::trust
