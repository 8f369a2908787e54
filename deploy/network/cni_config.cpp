#include "deploy/network/cni_config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <optional>

#include "common/base/text.hpp"
#include "proto/json/json.hpp"

namespace holdfast::deploy::network {
namespace {

namespace json = boost::json;

Result<json::object> parse_object(std::string_view text, std::string_view what) {
  auto value = proto::json::parse(text, Errc::cni);
  if (!value) return std::move(value).error().in(what);
  if (!value->is_object()) return Error{Errc::cni, fmt::format("{}: not a JSON object", what)};
  return std::move(value->get_object());
}

std::string text_at(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string{std::string_view{value->get_string()}}
                                                : std::string{};
}

bool is_plain_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

std::string_view next_step_for(int code, std::string_view type, std::string_view message) {
  if (type == "host-local" || message.find("no IP addresses available") != std::string_view::npos)
    return "every address of network.subnet is taken: choose a larger subnet, or remove instances";
  if (message.find("iptables") != std::string_view::npos)
    return "check that iptables works: iptables -S FORWARD";
  if (code == 1)
    return "the plugins in cni_dir know no common version from 0.3.0 to 1.0.0: install "
           "containernetworking-plugins 0.7 or newer";
  if (code == 11) return "the plugin asks to be tried again later; the agent does so by itself";
  return "run: holdfast doctor";
}

struct PluginSaid {
  int code = 0;
  std::string message;
};

std::optional<PluginSaid> said(std::string_view text) {
  auto parsed = proto::json::parse(trim(text), Errc::cni);
  if (!parsed || !parsed->is_object()) return std::nullopt;
  const auto& object = parsed->get_object();
  PluginSaid out;
  if (const auto* code = object.if_contains("code"); code != nullptr && code->is_int64())
    out.code = static_cast<int>(std::clamp<std::int64_t>(code->get_int64(), 0, 1'000'000));
  out.message = text_at(object, "msg");
  if (const auto details = text_at(object, "details"); !details.empty())
    out.message += ": " + details;
  if (out.message.empty()) return std::nullopt;
  return out;
}

}  // namespace

std::string default_conflist(const DefaultNetwork& network) {
  json::array plugins;
  plugins.push_back(json::object{
      {"type", "ptp"},
      {"ipMasq", false},
      {"ipam", json::object{{"type", "host-local"},
                            {"ranges", json::array{json::array{
                                           json::object{{"subnet", network.subnet.str()}}}}},
                            {"routes", json::array{json::object{{"dst", "0.0.0.0/0"}}}},
                            {"dataDir", network.leases_dir}}}});
  if (network.firewall == FirewallPlugin::present)
    plugins.push_back(json::object{{"type", "firewall"}});
  return proto::json::canonical(json::object{
      {"cniVersion", network.version}, {"name", network.name}, {"plugins", std::move(plugins)}});
}

std::set<std::string> supported_versions(std::string_view answer) {
  std::set<std::string> versions;
  const auto parsed = parse_object(trim(answer), "read the answer to VERSION");
  if (!parsed) return versions;
  const auto* list = parsed->if_contains("supportedVersions");
  if (list == nullptr || !list->is_array()) return versions;
  for (const auto& each : list->get_array())
    if (each.is_string()) versions.emplace(each.get_string());
  return versions;
}

Result<std::string> common_version(const std::vector<std::set<std::string>>& plugins) {
  for (const auto version : kCniVersions) {
    const bool common = std::all_of(plugins.begin(), plugins.end(), [&](const auto& known) {
      return known.empty() || known.contains(std::string{version});
    });
    if (common) return std::string{version};
  }
  return Error{Errc::cni, "the CNI plugins know no common version from 0.3.0 to 1.0.0"}.hint(
      "install containernetworking-plugins 0.7 or newer, or set cni_dir in agent.yaml");
}

std::string with_version(const std::string& conflist, const std::string& version) {
  auto list = parse_object(conflist, "read the CNI configuration list");
  if (!list) return conflist;
  (*list)["cniVersion"] = version;
  return json::serialize(*list);
}

Result<CniList> parse_conflist(std::string_view text) {
  HF_ASSIGN(const auto list, parse_object(text, "read the CNI configuration list"));
  CniList out;
  out.name = text_at(list, "name");
  out.version = text_at(list, "cniVersion");
  if (std::find(kCniVersions.begin(), kCniVersions.end(), out.version) == kCniVersions.end())
    out.version = kCniVersions.front();
  if (out.name.empty()) return Error{Errc::cni, "the CNI configuration list has no name"};
  const auto* plugins = list.if_contains("plugins");
  if (plugins == nullptr || !plugins->is_array() || plugins->get_array().empty())
    return Error{Errc::cni, fmt::format("CNI network {} has no plugins", printable(out.name))};
  for (const auto& entry : plugins->get_array()) {
    if (!entry.is_object())
      return Error{Errc::cni, "a plugin of the CNI configuration list is not an object"};
    json::object plugin = entry.get_object();
    const auto type = text_at(plugin, "type");
    if (!is_plain_name(type))
      return Error{Errc::cni,
                   fmt::format("CNI plugin type \"{}\" is not a plain file name", printable(type))};
    plugin.erase("capabilities");
    plugin["name"] = out.name;
    plugin["cniVersion"] = out.version;
    out.types.push_back(type);
    out.configs.push_back(json::serialize(plugin));
  }
  return out;
}

std::string plugin_input(const CniList& list, std::size_t index, std::string_view prev_result) {
  const std::string& config = list.configs.at(index);
  if (prev_result.empty()) return config;
  // Both are JSON objects that were parsed before: the result goes in front of the closing brace.
  return fmt::format("{},\"prevResult\":{}}}",
                     std::string_view{config}.substr(0, config.size() - 1), prev_result);
}

Result<Address> parse_address(std::string_view text) {
  Address address = 0;
  const auto parts = split(text, '.');
  if (parts.size() != 4)
    return Error{Errc::usage, fmt::format("\"{}\" is not an IPv4 address", printable(text))};
  for (const auto part : parts) {
    const auto number = parse_number(part);
    if (!number || *number > 255 || part.size() > 3)
      return Error{Errc::usage, fmt::format("\"{}\" is not an IPv4 address", printable(text))};
    address = (address << 8) | static_cast<Address>(*number);
  }
  return address;
}

Result<CniResult> parse_result(std::string_view text) {
  HF_ASSIGN(const auto result, parse_object(text, "read the CNI result"));
  CniResult out;
  if (const auto* ips = result.if_contains("ips"); ips != nullptr && ips->is_array()) {
    for (const auto& ip : ips->get_array()) {
      if (!ip.is_object() || out.address != 0) continue;
      const auto cidr = text_at(ip.get_object(), "address");
      if (const auto address = parse_address(std::string_view{cidr}.substr(0, cidr.find('/'))))
        out.address = *address;
    }
  }
  if (out.address == 0)
    return Error{Errc::cni, "the CNI result holds no IPv4 address"}.hint(
        "use a network with IPv4 addresses");
  if (const auto* interfaces = result.if_contains("interfaces");
      interfaces != nullptr && interfaces->is_array()) {
    for (const auto& entry : interfaces->get_array()) {
      if (!entry.is_object() || !text_at(entry.get_object(), "sandbox").empty()) continue;
      if (auto name = text_at(entry.get_object(), "name"); is_plain_name(name))
        out.host_interfaces.push_back(std::move(name));
    }
  }
  return out;
}

Error plugin_error(std::string_view type, std::string_view exit, std::string_view out,
                   std::string_view err) {
  auto reported = said(out);
  if (!reported) reported = said(err);
  if (reported) {
    return Error{Errc::cni, fmt::format("CNI plugin {} failed with code {}: {}", printable(type),
                                        reported->code, printable(reported->message))}
        .hint(next_step_for(reported->code, type, reported->message));
  }
  constexpr std::size_t kShown = 400;
  const std::string_view text = trim(err).empty() ? trim(out) : trim(err);
  return Error{Errc::cni,
               fmt::format("CNI plugin {} ended with {}: {}", printable(type), exit,
                           text.empty() ? "no message" : printable(text.substr(0, kShown)))}
      .hint("run: holdfast doctor");
}

std::string encode(const AttachmentRecord& record) {
  return proto::json::canonical(json::object{{"id", record.id},
                                             {"netns", record.netns},
                                             {"conflist", record.conflist},
                                             {"result", record.result},
                                             {"address", record.address}});
}

Result<AttachmentRecord> decode_record(std::string_view text) {
  HF_ASSIGN(const auto object, parse_object(text, "read the record of an attachment"));
  AttachmentRecord record{.id = text_at(object, "id"),
                          .netns = text_at(object, "netns"),
                          .conflist = text_at(object, "conflist"),
                          .result = text_at(object, "result"),
                          .address = 0};
  if (const auto* address = object.if_contains("address");
      address != nullptr && address->is_int64())
    record.address =
        static_cast<Address>(std::clamp<std::int64_t>(address->get_int64(), 0, 0xFFFF'FFFF));
  if (record.id.empty() || record.netns.empty() || record.conflist.empty())
    return Error{Errc::cni, "the record of an attachment lacks id, netns or conflist"};
  return record;
}

Status check_container_id(std::string_view id) {
  const auto alnum = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  const bool good = !id.empty() && id.size() <= 64 && alnum(id.front()) &&
                    std::all_of(id.begin(), id.end(), [&](char c) {
                      return alnum(c) || c == '_' || c == '.' || c == '-';
                    });
  if (good) return ok();
  return Error{Errc::usage,
               fmt::format("\"{}\" is not an instance id: letters, digits, _ . - and at most 64",
                           printable(id))};
}

}  // namespace holdfast::deploy::network
