#include "tests/support/faults/plan.hpp"

#include <cerrno>
#include <utility>

namespace holdfast::test::faults {
namespace {

constexpr std::pair<std::string_view, Call> kCalls[] = {
    {"sync", Call::sync},   {"rename", Call::rename}, {"unlink", Call::unlink},
    {"link", Call::link},   {"mkdir", Call::mkdir},   {"truncate", Call::truncate},
    {"write", Call::write}, {"create", Call::create}, {"any", Call::any},
};
constexpr std::pair<std::string_view, Action> kActions[] = {
    {"kill-before", Action::kill_before},
    {"kill-after", Action::kill_after},
    {"cut-before", Action::cut_before},
    {"cut-after", Action::cut_after},
    {"torn", Action::torn},
};
constexpr std::pair<std::string_view, int> kErrors[] = {
    {"EIO", EIO},       {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"EROFS", EROFS},
    {"EMFILE", EMFILE}, {"ENFILE", ENFILE}, {"ENOMEM", ENOMEM}, {"EACCES", EACCES},
};

std::string_view cut(std::string_view& from, char at) {
  const auto end = from.find(at);
  const auto part = from.substr(0, end);
  from = end == std::string_view::npos ? std::string_view{} : from.substr(end + 1);
  return part;
}

bool read_number(std::string_view text, std::uint64_t& out) {
  out = 0;
  for (const char c : text) {
    if (c < '0' || c > '9' || out > 1'000'000'000) return false;
    out = out * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return !text.empty();
}

template <class Table, class Value>
bool look_up(const Table& table, std::string_view name, Value& out) {
  for (const auto& [known, value] : table) {
    if (known != name) continue;
    out = value;
    return true;
  }
  return false;
}

bool read_action(std::string_view text, Rule& rule) {
  if (look_up(kActions, text, rule.action)) return true;
  constexpr std::string_view kDelay = "delay-";
  if (text.starts_with(kDelay)) {
    std::uint64_t milliseconds = 0;
    if (!read_number(text.substr(kDelay.size()), milliseconds)) return false;
    rule.action = Action::delay;
    rule.value = static_cast<int>(milliseconds);
    return true;
  }
  rule.action = Action::fail;
  return look_up(kErrors, text, rule.value);
}

bool read_rule(std::string_view item, Rule& rule) {
  const auto equals = item.rfind('=');
  if (equals == std::string_view::npos || !read_action(item.substr(equals + 1), rule)) return false;
  auto what = item.substr(0, equals);
  const auto colon = what.rfind(':');
  if (colon == std::string_view::npos) return false;
  auto number = what.substr(colon + 1);
  if (number.ends_with('+')) {
    rule.and_after = true;
    number.remove_suffix(1);
  }
  what = what.substr(0, colon);
  const auto call = cut(what, '@');
  rule.text = what;
  return read_number(number, rule.number) && rule.number > 0 && look_up(kCalls, call, rule.call);
}

bool read_item(std::string_view item, Plan& plan) {
  auto rest = item;
  const auto key = cut(rest, '=');
  if (key == "below" && plan.below_count < kMaxBelow) {
    plan.below[plan.below_count++] = rest;
  } else if (key == "report") {
    plan.report = rest;
  } else if (key == "children") {
    plan.child = rest;
  } else if (key == "preload") {
    plan.preload = rest;
  } else {
    return plan.rule_count < kMaxRules && read_rule(item, plan.rules[plan.rule_count++]);
  }
  return !rest.empty();
}

}  // namespace

std::string_view to_string(Call call) {
  for (const auto& [name, value] : kCalls) {
    if (value == call) return name;
  }
  return "any";
}

Plan parse_plan(std::string_view text, std::string_view& problem) {
  Plan plan;
  problem = {};
  while (!text.empty()) {
    const auto item = cut(text, ';');
    if (!item.empty() && !read_item(item, plan)) problem = item;
  }
  return plan;
}

}  // namespace holdfast::test::faults
