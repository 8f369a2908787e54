#include "deploy/runtime/spec/exec_process.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <string_view>

namespace holdfast::deploy::runtime {
namespace {

namespace json = boost::json;

std::string_view name_of(std::string_view entry) { return entry.substr(0, entry.find('=')); }

std::string_view text_of(const json::value& value) {
  const auto& text = value.as_string();
  return {text.data(), text.size()};
}

/// Adds or replaces.
void set_variable(json::array& env, const std::string& entry) {
  const auto found = std::find_if(env.begin(), env.end(), [&](const json::value& each) {
    return name_of(text_of(each)) == name_of(entry);
  });
  if (found == env.end()) {
    env.emplace_back(entry);
  } else {
    *found = json::string{entry};
  }
}

void set_user(json::object& process, const User& user) {
  process["user"] =
      json::object{{"uid", user.uid},
                   {"gid", user.gid},
                   {"additionalGids", json::array(user.groups.begin(), user.groups.end())}};
  auto& sets = process.at("capabilities").as_object();
  const json::value has = user.uid == 0 ? sets.at("bounding") : sets.at("ambient");
  sets["effective"] = has;
  sets["permitted"] = has;
  set_variable(process.at("env").as_array(), "HOME=" + (user.home.empty() ? "/" : user.home));
}

}  // namespace

Result<std::string> exec_process_json(const std::string& config, const ExecProcess& wanted) {
  try {
    auto process = json::parse(config).as_object().at("process").as_object();
    process["args"] = json::array(wanted.args.begin(), wanted.args.end());
    if (wanted.user) set_user(process, *wanted.user);
    auto& env = process.at("env").as_array();
    // The service's word to its supervisor: another program does not speak for it.
    for (const std::string_view name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) {
      const auto theirs = std::find_if(env.begin(), env.end(), [&](const json::value& each) {
        return name_of(text_of(each)) == name;
      });
      if (theirs != env.end()) env.erase(theirs);
    }
    for (const auto& entry : wanted.env) set_variable(process.at("env").as_array(), entry);
    if (!wanted.cwd.empty()) process["cwd"] = wanted.cwd;
    if (wanted.console) {
      process["terminal"] = true;
      process["consoleSize"] =
          json::object{{"height", wanted.console->rows}, {"width", wanted.console->columns}};
    }
    return json::serialize(process);
  } catch (const std::exception& e) {
    return Error{Errc::io, fmt::format("malformed config.json: {}", e.what())};
  }
}

}  // namespace holdfast::deploy::runtime
