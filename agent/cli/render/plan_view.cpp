#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "agent/cli/render/views.hpp"
#include "common/base/text.hpp"

namespace holdfast::agent::cli {
namespace {

namespace api = proto::api;

struct Kind {
  proto::Word<api::PlanChange> change;
  std::string_view sign;
  std::string_view words;    ///< beside the service
  std::string_view counted;  ///< in the summary
  Tone tone;
};
constexpr std::array<Kind, 6> kKinds{{
    {"create", "+", "create", "to create", Tone::good},
    {"cutover", "~", "cut over, the old instance serves until the new one is healthy",
     "to cut over", Tone::waiting},
    {"replace", "~", "replace, stop first", "to replace", Tone::waiting},
    {"policy", "~", "policy only, no restart", "without a restart", Tone::waiting},
    {"remove", "-", "remove", "to remove", Tone::act},
    {"keep", "=", "no change", "unchanged", Tone::dim},
}};

const Kind& kind_of(proto::Word<api::PlanChange> change) {
  static constexpr Kind kOther{{}, "?", "", "other", Tone::plain};
  const auto* found = std::find_if(kKinds.begin(), kKinds.end(),
                                   [&](const Kind& kind) { return kind.change == change; });
  return found == kKinds.end() ? kOther : *found;
}

std::string step_text(const api::PlanStep& step, std::size_t width, const Look& look) {
  const auto& kind = kind_of(step.change);
  const auto name = printable(step.service);
  const std::string fill(width - std::min(width, display_width(name)), ' ');
  auto words = kind.words.empty() ? step.change.str() : std::string{kind.words};
  if (!step.reason.empty()) words += ": " + printable(step.reason);
  auto out = fmt::format("  {} {}{}  {}\n", paint(kind.sign, kind.tone, look),
                         paint(name, Tone::bold, look), fill, words);
  for (const auto& field : step.fields)
    out += fmt::format("      {}\n", printable(shorten_digests(field)));
  for (const auto& relaxed : step.relaxations)
    out += fmt::format("    {} relaxes {}\n", mark(Mark::warn, look), printable(relaxed));
  return out;
}

std::string hooks_text(const std::vector<api::PlanHook>& hooks, const Look& look) {
  std::string out;
  for (const auto& hook : hooks) {
    out += fmt::format("{}  hook {:<11} {}  {} {}\n", out.empty() ? "\n" : "", hook.stage.text(),
                       paint(printable(hook.name), Tone::bold, look),
                       printable(shorten_digests(hook.image)), printable(hook.note));
    for (const auto& relaxed : hook.relaxations)
      out += fmt::format("    {} relaxes {}\n", mark(Mark::warn, look), printable(relaxed));
  }
  return out;
}

std::string summary(const std::vector<api::PlanStep>& steps) {
  std::string text;
  for (const auto& kind : kKinds) {
    const auto count = std::count_if(steps.begin(), steps.end(),
                                     [&](const auto& step) { return step.change == kind.change; });
    if (count > 0) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, kind.counted);
  }
  return text;
}

struct Place {
  std::string group;  ///< service, or empty
  std::string field;
};

Place place_of(std::string_view path) {
  constexpr std::string_view kServices = "services.";
  if (!path.starts_with(kServices)) return {{}, std::string{path}};
  path.remove_prefix(kServices.size());
  const auto dot = path.find('.');
  if (dot == std::string_view::npos) return {std::string{path}, {}};
  return {std::string{path.substr(0, dot)}, std::string{path.substr(dot + 1)}};
}

std::string change_text(const proto::FieldChange& change, std::string_view field,
                        const Look& look) {
  const auto value = [](const std::string& text) { return printable(shorten_digests(text)); };
  const bool added = change.before.empty();
  const bool gone = change.after.empty();
  const auto sign = added  ? paint("+", Tone::good, look)
                    : gone ? paint("-", Tone::act, look)
                           : paint("~", Tone::waiting, look);
  const auto arrow = look.utf8 ? "→" : "->";
  const auto text = added ? value(change.after)
                    : gone
                        ? value(change.before)
                        : fmt::format("{} {} {}", value(change.before), arrow, value(change.after));
  return fmt::format("  {} {}{}{}\n", sign, printable(field), field.empty() ? "" : "  ", text);
}

}  // namespace

std::string plan_view(const api::PlanReport& plan, const Look& look) {
  const auto arrow = look.utf8 ? "→" : "->";
  std::string out;
  if (!plan.changes) {
    out = fmt::format("generation {} already runs this document: nothing to do\n", plan.from);
  } else {
    out = plan.from == 0
              ? fmt::format("generation {} ({})\n\n", plan.to, short_digest(plan.spec_digest))
              : fmt::format("generation {} {} {} ({})\n\n", plan.from, arrow, plan.to,
                            short_digest(plan.spec_digest));
    std::size_t width = 0;
    for (const auto& step : plan.steps)
      width = std::max(width, display_width(printable(step.service)));
    for (const auto& step : plan.steps) out += step_text(step, width, look);
    out += hooks_text(plan.hooks, look);
    if (!plan.images_to_pull.empty()) out += "\n";
    for (const auto& image : plan.images_to_pull)
      out += fmt::format("  pull {}\n", printable(shorten_digests(image)));
    out += "\n" + summary(plan.steps) + "\n";
  }
  for (const auto& warning : plan.warnings)
    out += fmt::format("{} {}\n", mark(Mark::warn, look), printable(warning));
  return out;
}

std::string diff_view(const std::vector<proto::FieldChange>& changes, const std::string& from,
                      const std::string& to, const Look& look) {
  if (changes.empty())
    return fmt::format("{} and {} are the same\n", printable(from), printable(to));
  const auto arrow = look.utf8 ? "→" : "->";
  std::map<std::string, std::vector<const proto::FieldChange*>> groups;
  for (const auto& change : changes) groups[place_of(change.path).group].push_back(&change);
  auto out = fmt::format("{} {} {}\n", printable(from), arrow, printable(to));
  std::size_t restarting = 0;
  for (const auto& [group, fields] : groups) {
    const bool restarts = std::any_of(fields.begin(), fields.end(),
                                      [](const auto* change) { return change->restarts; });
    restarting += restarts && !group.empty() ? 1 : 0;
    out += fmt::format("\n{}{}\n",
                       paint(group.empty() ? "the deployment" : printable(group), Tone::bold, look),
                       group.empty() ? ""
                       : restarts    ? "  needs a new instance (fields marked *)"
                                     : "  without a restart");
    for (const auto* change : fields)
      out +=
          change_text(*change, place_of(change->path).field + (change->restarts ? "*" : ""), look);
  }
  return out + fmt::format("\n{} field{} differ{}; {} service{} need{} a new instance\n",
                           changes.size(), changes.size() == 1 ? "" : "s",
                           changes.size() == 1 ? "s" : "", restarting, restarting == 1 ? "" : "s",
                           restarting == 1 ? "s" : "");
}

}  // namespace holdfast::agent::cli
