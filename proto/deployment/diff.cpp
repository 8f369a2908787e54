#include <fmt/format.h>

#include <boost/json.hpp>
#include <map>

#include "proto/deployment/deployment.hpp"
#include "proto/deployment/readers.hpp"
#include "proto/json/json.hpp"

namespace holdfast::proto {
namespace {

namespace bj = boost::json;

using Leaves = std::map<std::string, std::string>;

std::string text_of(const bj::value& value) {
  if (value.is_string()) return std::string{value.get_string()};
  return bj::serialize(value);
}

bool is_list_of_configs(const bj::value& value, std::string_view path) {
  return value.is_array() && path.ends_with(".configs") && !value.get_array().empty() &&
         value.get_array().front().is_object() &&
         value.get_array().front().get_object().contains("target");
}

/// Configs are told apart by their target. Their content is not shown, but which it is.
void collect_configs(const bj::array& configs, const std::string& path, Leaves& leaves) {
  for (const auto& item : configs) {
    const auto& config = item.get_object();
    const auto at = fmt::format("{}[{}]", path, text_of(config.at("target")));
    for (const auto& member : config) {
      const auto key = std::string_view{member.key()};
      if (key == "target") continue;
      auto text = text_of(member.value());
      if (key == "content")
        text = fmt::format("{} bytes, {}", text.size(), Digest::of(text).short_hex());
      leaves.emplace(fmt::format("{}.{}", at, key), std::move(text));
    }
  }
}

/// Hooks are told apart by their place, which is the order in which they run; other lists are one
/// value.
void collect(const bj::value& value, const std::string& path, Leaves& leaves) {
  if (is_list_of_configs(value, path)) return collect_configs(value.get_array(), path, leaves);
  if (value.is_array() && path.starts_with("hooks.") && !value.get_array().empty() &&
      value.get_array().front().is_object() && path.find('[') == std::string::npos) {
    std::size_t place = 0;
    for (const auto& item : value.get_array())
      collect(item, path + "[" + std::to_string(place++) + "]", leaves);
    return;
  }
  if (!value.is_object()) {
    leaves.emplace(path, text_of(value));
    return;
  }
  for (const auto& member : value.get_object()) {
    const std::string key{member.key()};
    collect(member.value(), path.empty() ? key : path + "." + key, leaves);
  }
}

std::string_view digest_part(std::string_view image) {
  const auto at = image.find('@');
  return at == std::string_view::npos ? std::string_view{} : image.substr(at);
}

bool restarts(const FieldChange& change) {
  constexpr std::string_view kServices = "services.";
  std::string_view path = change.path;
  if (!path.starts_with(kServices)) return false;
  path.remove_prefix(kServices.size());
  const auto dot = path.find('.');  // names of services have no dots
  if (dot == std::string_view::npos) return false;
  path.remove_prefix(dot + 1);
  if (path == "image") return digest_part(change.before) != digest_part(change.after);
  if (path == "health.sd_notify") return true;
  return is_run_key(path.substr(0, path.find_first_of(".[")));
}

Result<Leaves> leaves_of(std::string_view text) {
  Leaves leaves;
  if (text.empty()) return leaves;
  HF_ASSIGN(const auto value, json::parse(text, Errc::spec_parse));
  if (!value.is_object()) return Error{Errc::spec_parse, "the document is not a JSON object"};
  collect(value, "", leaves);
  return leaves;
}

}  // namespace

Result<std::vector<FieldChange>> diff_documents(std::string_view before_json,
                                                std::string_view after_json) {
  auto before = leaves_of(before_json);
  if (!before) return std::move(before).error().in("read the earlier document");
  auto after = leaves_of(after_json);
  if (!after) return std::move(after).error().in("read the later document");

  std::map<std::string, FieldChange> changes;
  for (const auto& [path, text] : *before) changes[path].before = text;
  for (const auto& [path, text] : *after) changes[path].after = text;
  std::vector<FieldChange> result;
  for (auto& [path, change] : changes) {
    if (before->contains(path) && after->contains(path) && change.before == change.after) continue;
    change.path = path;
    change.restarts = restarts(change);
    result.push_back(std::move(change));
  }
  return result;
}

}  // namespace holdfast::proto
