#include "agent/cli/render/detail.hpp"

#include <boost/json.hpp>

namespace json = boost::json;

namespace holdfast::agent::cli {
namespace {

json::object parse_object(std::string_view text) {
  boost::system::error_code failed;
  auto value = json::parse(json::string_view{text.data(), text.size()}, failed);
  return !failed && value.is_object() ? std::move(value.get_object()) : json::object{};
}

std::string text_of(const json::value& value) {
  return value.is_string() ? std::string{value.get_string()} : json::serialize(value);
}

std::string text_at(const json::object& object, std::string_view name) {
  const auto* found = object.if_contains({name.data(), name.size()});
  return found != nullptr && found->is_string() ? std::string{found->get_string()} : std::string{};
}

std::uint64_t number_at(const json::object& object, std::string_view name) {
  const auto* found = object.if_contains({name.data(), name.size()});
  boost::system::error_code failed;
  if (found == nullptr || !found->is_number()) return 0;
  const auto number = found->to_number<std::uint64_t>(failed);
  return failed ? 0 : number;
}

}  // namespace

PullDetail decode_pull(std::string_view detail) {
  const auto object = parse_object(detail);
  const auto* left = object.if_contains("seconds_left");
  return {text_at(object, "image"),
          text_at(object, "layer"),
          text_at(object, "phase"),
          number_at(object, "bytes"),
          number_at(object, "total"),
          number_at(object, "rate"),
          left != nullptr && left->is_number() ? std::optional{number_at(object, "seconds_left")}
                                               : std::nullopt};
}

Evidence decode_evidence(std::string_view detail) {
  Evidence evidence;
  const auto object = parse_object(detail);
  const auto* found = object.if_contains("evidence");
  if (found == nullptr || !found->is_object()) return evidence;
  for (const auto& [name, value] : found->get_object()) {
    if (name != "log") {
      evidence.facts.emplace_back(name, text_of(value));
    } else if (value.is_array()) {
      for (const auto& line : value.get_array()) evidence.log.push_back(text_of(line));
    }
  }
  return evidence;
}

}  // namespace holdfast::agent::cli
