#include "proto/oci/fields.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <limits>

#include "common/base/text.hpp"
#include "proto/json/json.hpp"

namespace holdfast::proto::oci {
namespace {

namespace bj = boost::json;

bj::string_view view(std::string_view text) { return {text.data(), text.size()}; }

Error wrong(std::string_view key, std::string_view expected) {
  return Error{Errc::layer_corrupt, fmt::format("\"{}\" must be {}", key, expected)};
}

/// NUL cuts strings short in C, so none may pass into argv, paths or environments.
Result<std::string> plain_string(const bj::value& value, std::string_view key) {
  if (!value.is_string()) return wrong(key, "a string");
  const auto& found = value.get_string();
  if (found.find('\0') != bj::string::npos) return wrong(key, "without NUL characters");
  return std::string{found.data(), found.size()};
}

Result<std::uint64_t> size_of(const bj::object& object) {
  const auto* value = member(object, "size");
  if (value == nullptr) return wrong("size", "given");
  if (value->is_uint64()) return value->get_uint64();
  if (value->is_int64() && value->get_int64() >= 0)
    return static_cast<std::uint64_t>(value->get_int64());
  return wrong("size", "a whole number of bytes, not negative");
}

struct Alias {
  std::string_view from;
  std::string_view architecture;
  std::string_view variant;  ///< when none is written
};

// containerd's platform normalisation.
constexpr Alias kAliases[] = {
    {"x86_64", "amd64", "v1"},  {"x86-64", "amd64", "v1"}, {"amd64", "amd64", "v1"},
    {"aarch64", "arm64", "v8"}, {"arm64", "arm64", "v8"},  {"arm", "arm", "v7"},
    {"armhf", "arm", "v7"},     {"armel", "arm", "v6"},    {"i386", "386", ""},
    {"i486", "386", ""},        {"i686", "386", ""},
};

Platform normalised(Platform platform) {
  for (const auto& alias : kAliases) {
    if (platform.architecture != alias.from) continue;
    platform.architecture = alias.architecture;
    if (platform.variant.empty()) platform.variant = alias.variant;
    break;
  }
  if (platform.architecture.starts_with("arm") && platform.variant.size() == 1)
    platform.variant.insert(0, "v");
  return platform;
}

}  // namespace

const bj::value* member(const bj::object& object, std::string_view key) {
  const auto* value = object.if_contains(view(key));
  return value == nullptr || value->is_null() ? nullptr : value;
}

Result<std::string> text(const bj::object& object, std::string_view key) {
  const auto* value = member(object, key);
  return value == nullptr ? Result<std::string>{std::string{}} : plain_string(*value, key);
}

Result<std::string> required_text(const bj::object& object, std::string_view key) {
  HF_ASSIGN(auto found, text(object, key));
  if (found.empty()) return wrong(key, "given");
  return found;
}

Result<std::vector<std::string>> texts(const bj::object& object, std::string_view key) {
  std::vector<std::string> found;
  const auto* value = member(object, key);
  if (value == nullptr) return found;
  if (!value->is_array()) return wrong(key, "a list of strings");
  for (const auto& item : value->get_array()) {
    HF_ASSIGN(auto entry, plain_string(item, key));
    found.push_back(std::move(entry));
  }
  return found;
}

Result<const bj::object*> object_member(const bj::object& object, std::string_view key) {
  const auto* value = member(object, key);
  if (value == nullptr) return static_cast<const bj::object*>(nullptr);
  if (!value->is_object()) return wrong(key, "an object");
  return &value->get_object();
}

Result<std::map<std::string, std::string>> text_map(const bj::object& object,
                                                    std::string_view key) {
  std::map<std::string, std::string> found;
  HF_ASSIGN(const auto* members, object_member(object, key));
  if (members == nullptr) return found;
  for (const auto& entry : *members) {
    if (entry.value().is_null()) continue;
    HF_ASSIGN(auto value, plain_string(entry.value(), key));
    found.emplace(std::string{entry.key()}, std::move(value));
  }
  return found;
}

Result<std::vector<std::string>> key_set(const bj::object& object, std::string_view key) {
  std::vector<std::string> found;
  HF_ASSIGN(const auto* members, object_member(object, key));
  if (members == nullptr) return found;
  for (const auto& entry : *members) {
    if (entry.key().find('\0') != bj::string_view::npos)
      return wrong(key, "without NUL characters");
    found.emplace_back(entry.key().data(), entry.key().size());
  }
  return found;
}

Result<Platform> platform(const bj::object& object) {
  HF_ASSIGN(auto os, required_text(object, "os"));
  HF_ASSIGN(auto architecture, required_text(object, "architecture"));
  HF_ASSIGN(auto variant, text(object, "variant"));
  return normalised({std::move(os), std::move(architecture), std::move(variant)});
}

Result<Descriptor> descriptor(const bj::value& value) {
  if (!value.is_object()) return Error{Errc::layer_corrupt, "a descriptor must be an object"};
  const auto& object = value.get_object();
  HF_ASSIGN(auto media_type, required_text(object, "mediaType"));
  HF_ASSIGN(const auto digest_text, required_text(object, "digest"));
  HF_ASSIGN(auto digest, Digest::parse(digest_text));
  HF_ASSIGN(const auto size, size_of(object));
  HF_ASSIGN(const auto* where, object_member(object, "platform"));
  Descriptor result{std::move(media_type), std::move(digest), size, std::nullopt};
  if (where != nullptr) {
    HF_ASSIGN(auto found, platform(*where));
    result.platform = std::move(found);
  }
  return result;
}

Result<bj::value> document(std::string_view bytes, std::string_view what) {
  if (bytes.size() > kMaxDocumentBytes) {
    return Error{Errc::too_large,
                 fmt::format("{} of {} is beyond the limit of {}", what, human_bytes(bytes.size()),
                             human_bytes(kMaxDocumentBytes))};
  }
  auto value = json::parse(bytes, Errc::layer_corrupt);
  if (!value) return std::move(value).error().in(what);
  if (!value->is_object())
    return Error{Errc::layer_corrupt, fmt::format("{} is not a JSON object", what)};
  return value;
}

}  // namespace holdfast::proto::oci
