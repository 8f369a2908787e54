#include <fmt/format.h>

#include "agent/cli/render/exit_code.hpp"
#include "agent/cli/render/table.hpp"
#include "agent/cli/render/views.hpp"
#include "agent/cli/render/when.hpp"
#include "common/base/text.hpp"

namespace holdfast::agent::cli {
namespace {

namespace api = proto::api;

constexpr std::size_t kLabelWidth = 12;

std::string row(std::string_view label, std::string_view text, const Look& look) {
  auto head = std::string{label};
  head.resize(std::max(kLabelWidth, head.size() + 2), ' ');
  return paint(head, Tone::dim, look) + std::string{text} + "\n";
}

Tone tone_of(proto::Word<api::DeploymentState> state) {
  if (state == "converged") return Tone::good;
  return state == "degraded" || state == "reverting" || state == "held" ? Tone::act : Tone::waiting;
}

Tone tone_of(proto::Word<api::ServiceState> state) {
  if (state == "running" || state == "completed") return Tone::good;
  return is_bad(state) ? Tone::act : Tone::waiting;
}

Tone tone_of(proto::Word<api::HealthState> health) {
  if (health == "healthy") return Tone::good;
  return health == "unhealthy" ? Tone::act : health == "starting" ? Tone::waiting : Tone::dim;
}

std::string state_text(const api::Status& status, const Look& look) {
  auto text = paint(status.state.text(), tone_of(status.state), look);
  if (!status.message.empty()) text += ": " + printable(status.message);
  return text;
}

std::string rollback_text(const api::RollbackReadiness& rollback) {
  if (rollback.generation == 0)
    return rollback.reason.empty() ? "no earlier good generation" : printable(rollback.reason);
  if (rollback.ready) return fmt::format("ready: generation {}", rollback.generation);
  return fmt::format("generation {} is not ready: {}", rollback.generation,
                     printable(rollback.reason));
}

std::string hold_text(const api::HoldStatus& hold, WallTime now) {
  return fmt::format("by {} {}{}: {}", printable(hold.actor), ago(hold.since, now),
                     hold.until.empty() ? "" : ", until " + printable(hold.until),
                     printable(hold.reason));
}

std::string quarantined_text(const api::QuarantineItem& item) {
  return fmt::format("{} declares {}, by {}{}: {}", printable(item.source),
                     short_digest(item.spec_digest), printable(item.actor),
                     item.until.empty() ? "" : ", until " + printable(item.until),
                     printable(shorten_digests(item.reason)));
}

std::string source_text(const api::SourceStatus& source, WallTime now) {
  auto text = fmt::format("{}, {}", source.state.text(), printable(source.source));
  if (source.serial > 0) text += fmt::format(", serial {}", source.serial);
  if (source.root_version > 0) text += fmt::format(", root {}", source.root_version);
  text +=
      source.last_success.empty() ? ", never heard of" : ", good " + ago(source.last_success, now);
  if (source.refusal)
    text += fmt::format(": {} ({})", printable(source.refusal->message), source.refusal->code);
  return text;
}

std::string next_of(const api::Status& status) {
  if (status.state == "empty") return "\nnext: holdfast apply FILE\n";
  if (status.state != "held") return {};
  if (status.hold) return "\nnext: holdfast resume\n";
  return fmt::format("\nnext: change {}, or: holdfast quarantine release {}\n",
                     printable(status.quarantined ? status.quarantined->source : "the document"),
                     status.quarantined ? short_digest(status.quarantined->spec_digest) : "");
}

std::string summary(const api::Status& status, const Look& look, WallTime now) {
  std::string out;
  if (!status.deployment.empty())
    out += row("Deployment",
               fmt::format("{}, generation {} ({})", printable(status.deployment),
                           status.generation, short_digest(status.spec_digest)),
               look);
  out += row("State", state_text(status, look), look);
  if (status.rollout) {
    const auto& rollout = *status.rollout;
    auto text = fmt::format("generation {}, {} for {}", rollout.generation, rollout.phase.text(),
                            seconds_text(rollout.seconds));
    if (!rollout.waiting_for.empty()) text += ": " + printable(rollout.waiting_for);
    out += row("Rollout", text, look);
  }
  if (status.hold) out += row("Hold", hold_text(*status.hold, now), look);
  if (status.quarantined) out += row("Quarantine", quarantined_text(*status.quarantined), look);
  if (status.source) out += row("Source", source_text(*status.source, now), look);
  out += row("Rollback", rollback_text(status.rollback), look);
  if (!status.standby.empty())
    out += row("Standby",
               fmt::format("{} frozen instance{}, ready to be thawed", status.standby.size(),
                           status.standby.size() == 1 ? "" : "s"),
               look);
  if (status.rehearsal) out += row("Rehearsal", rehearsal_text(*status.rehearsal, now), look);
  for (const auto& text : status.incomplete) out += row("Incomplete", printable(text), look);
  return out + row("Agent",
                   fmt::format("{}, up {}", printable(status.agent_version),
                               age(status.agent_since, now)),
                   look);
}

std::string services_table(const std::vector<api::ServiceStatus>& services, const Look& look,
                           WallTime now) {
  Table table{{{"SERVICE"},
               {"STATE"},
               {"HEALTH"},
               {"RESTARTS", Align::right},
               {"AGE", Align::right},
               {"DIGEST"},
               {"IMAGE"}}};
  for (const auto& service : services)
    table.add({{service.name, Tone::bold},
               {service.state.str(), tone_of(service.state)},
               {service.health.str(), tone_of(service.health)},
               {std::to_string(service.restarts)},
               {age(service.since, now)},
               {short_digest(service.digest), Tone::dim},
               {short_image(service.image)}});
  return table.render(look);
}

}  // namespace

std::string rehearsal_text(const api::RehearsalStatus& rehearsal, WallTime now) {
  const auto what = fmt::format("generation {} ", rehearsal.generation);
  if (rehearsal.verdict == "running") return what + "is being rehearsed";
  if (rehearsal.verdict == "waiting") return what + "waits " + printable(rehearsal.reason);
  return fmt::format("{}{} {}{}", what, rehearsal.verdict.text(), ago(rehearsal.time, now),
                     rehearsal.reason.empty() ? "" : ": " + printable(rehearsal.reason));
}

std::string short_image(std::string_view image) {
  image = image.substr(0, image.find('@'));
  const auto slash = image.find('/');
  if (slash != std::string_view::npos &&
      (image.substr(0, slash).find_first_of(".:") != std::string_view::npos ||
       image.starts_with("localhost/")))
    image.remove_prefix(slash + 1);
  return std::string{image};
}

std::string status_view(const api::Status& status, const Look& look, WallTime now) {
  auto out = summary(status, look, now);
  if (!status.services.empty()) out += "\n" + services_table(status.services, look, now);
  bool first = true;
  for (const auto& service : status.services) {
    if (service.detail.empty()) continue;
    if (std::exchange(first, false)) out += "\n";
    const bool bad = is_bad(service);
    out += fmt::format("{} {}: {}\n", mark(bad ? Mark::bad : Mark::warn, look),
                       printable(service.name), printable(service.detail));
    if (bad) out += fmt::format("  next: holdfast logs {}\n", printable(service.name));
  }
  if (!status.drift.empty()) out += "\n" + drift_view(status.drift, look, now);
  return out + next_of(status);
}

std::string service_view(const api::Status& status, const api::ServiceStatus& service,
                         const Look& look, WallTime now) {
  auto state = paint(service.state.text(), tone_of(service.state), look);
  if (!service.since.empty()) state += fmt::format(" for {}", age(service.since, now));
  std::string out = row("Service", printable(service.name), look);
  out += row("State", state, look);
  out += row("Health", paint(service.health.text(), tone_of(service.health), look), look);
  if (!service.detail.empty()) out += row("Why", printable(service.detail), look);
  out += row("Image", printable(service.image), look);
  out += row("Digest", printable(service.digest), look);
  if (!service.manifest.empty() && service.manifest != service.digest)
    out += row("Manifest", printable(service.manifest), look);
  out += row("Instance", service.instance.empty() ? "-" : printable(service.instance), look);
  out += row("Pid", service.pid == 0 ? "-" : std::to_string(service.pid), look);
  out += row("Address", service.address.empty() ? "-" : printable(service.address), look);
  std::string ports;
  for (const auto& port : service.publish) ports += (ports.empty() ? "" : ", ") + printable(port);
  if (!ports.empty()) out += row("Published", ports, look);
  out += row("Restarts", std::to_string(service.restarts), look);
  std::vector<api::DriftItem> drift;
  for (const auto& item : status.drift)
    if (item.service == service.name) drift.push_back(item);
  if (!drift.empty()) out += "\n" + drift_view(drift, look, now);
  return out;
}

std::string drift_view(const std::vector<api::DriftItem>& drift, const Look& look, WallTime now) {
  if (drift.empty()) return "no drift: everything is as declared\n";
  Table table{{{"SERVICE"}, {"DRIFT"}, {"SINCE", Align::right}, {"ACTION"}, {"EVIDENCE"}}};
  for (const auto& item : drift)
    table.add({{item.service.empty() ? "(host)" : item.service, Tone::bold},
               {item.kind.str(), Tone::act},
               {age(item.since, now)},
               {item.action.str()},
               {shorten_digests(item.evidence)}});
  auto out = table.render(look);
  for (const auto& item : drift) {
    if (item.action != "repair" && !item.next.empty())
      out += fmt::format("  {} {}: {}\n", item.service.empty() ? "(host)" : printable(item.service),
                         item.kind.text(), printable(item.next));
  }
  return out;
}

}  // namespace holdfast::agent::cli
