#include "proto/trust/root.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "common/base/text.hpp"
#include "proto/deployment/rules.hpp"
#include "proto/json/json.hpp"
#include "proto/json/writer.hpp"

namespace holdfast::proto::trust {
namespace {

namespace bj = boost::json;

Error fault(std::string what) {
  return Error{Errc::spec_parse, "root of trust: " + std::move(what)};
}

/// Exactly these members.
Result<const bj::object*> object_with(const bj::value& value, std::string_view what,
                                      std::initializer_list<std::string_view> members) {
  if (!value.is_object()) return fault(fmt::format("{} is no object", what));
  const auto& object = value.get_object();
  for (const auto key : members) {
    if (!object.contains(key)) return fault(fmt::format("{} has no \"{}\"", what, key));
  }
  if (object.size() != members.size())
    return fault(fmt::format("{} has more than its members {}", what, fmt::join(members, ", ")));
  return &object;
}

Result<std::string> text_of(const bj::value& value, std::string_view what) {
  if (!value.is_string()) return fault(fmt::format("{} is no text", what));
  return std::string{value.get_string()};
}

Result<std::uint64_t> number_of(const bj::value& value, std::string_view what, std::uint64_t most) {
  const bool good = value.is_int64() && value.get_int64() >= 1 &&
                    static_cast<std::uint64_t>(value.get_int64()) <= most;
  if (!good) return fault(fmt::format("{} is no number from 1 to {}", what, most));
  return static_cast<std::uint64_t>(value.get_int64());
}

Result<RoleKeys> read_role(const bj::value& value, const std::string& what) {
  HF_ASSIGN(const auto* object, object_with(value, what, {"threshold", "keys"}));
  const auto& keys = object->at("keys");
  if (!keys.is_array() || keys.get_array().empty() || keys.get_array().size() > kMostKeys)
    return fault(fmt::format("{} must have 1 to {} keys", what, kMostKeys));
  RoleKeys role;
  for (const auto& item : keys.get_array()) {
    HF_ASSIGN(const auto pem, text_of(item, "a key of " + what));
    auto key = PublicKey::from_pem(pem);
    if (!key) return fault(fmt::format("{}: {}", what, key.error().what()));
    if (std::find(role.keys.begin(), role.keys.end(), *key) != role.keys.end())
      return fault(fmt::format("{} lists the key {} twice", what, key->short_id()));
    role.keys.push_back(std::move(key).value());
  }
  HF_ASSIGN(const auto threshold,
            number_of(object->at("threshold"), "the threshold of " + what, role.keys.size()));
  role.threshold = static_cast<std::uint32_t>(threshold);
  return role;
}

void write_role(json::Writer& json, std::string_view name, const RoleKeys& role) {
  json.key(name).begin_object();
  json.key("threshold").value(std::uint64_t{role.threshold});
  json.key("keys").begin_array();
  for (const auto& key : role.keys) json.value(key.pem());
  json.end_array().end_object();
}

}  // namespace

Result<Root> read_root(std::string_view payload) {
  if (payload.size() > kMostRootBytes)
    return Error{Errc::too_large,
                 fmt::format("the root of trust is larger than {}", human_bytes(kMostRootBytes))};
  HF_ASSIGN(const bj::value value, json::parse(payload, Errc::spec_parse));
  HF_ASSIGN(const auto* object,
            object_with(value, "it", {"deployment", "version", "expires", "roles"}));
  Root root;
  HF_ASSIGN(root.deployment, text_of(object->at("deployment"), "\"deployment\""));
  if (!rules::is_name(root.deployment)) return fault("\"deployment\" is no name of a deployment");
  HF_ASSIGN(root.version, number_of(object->at("version"), "\"version\"", kMostRootVersion));
  HF_ASSIGN(const auto expires, text_of(object->at("expires"), "\"expires\""));
  auto time = parse_rfc3339(expires);
  if (!time) return fault("\"expires\" is no point in time");
  root.expires = *time;
  HF_ASSIGN(const auto* roles,
            object_with(object->at("roles"), "\"roles\"", {"root", "deployment"}));
  HF_ASSIGN(root.root, read_role(roles->at("root"), "the role \"root\""));
  HF_ASSIGN(root.signers, read_role(roles->at("deployment"), "the role \"deployment\""));
  return root;
}

std::string write_root(const Root& root) {
  json::Writer json{json::Layout::indented};
  json.begin_object();
  json.key("deployment").value(root.deployment);
  json.key("version").value(root.version);
  json.key("expires").value(to_rfc3339(root.expires));
  json.key("roles").begin_object();
  write_role(json, "root", root.root);
  write_role(json, "deployment", root.signers);
  json.end_object().end_object();
  return std::move(json).take() + "\n";
}

}  // namespace holdfast::proto::trust
