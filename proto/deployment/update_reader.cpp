#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "proto/deployment/readers.hpp"

namespace holdfast::proto {
namespace {

using std::chrono::hours;

constexpr std::array<std::string_view, 7> kUpdateKeys{"strategy", "deadline",   "soak",  "drain",
                                                      "standby",  "on_failure", "window"};
constexpr std::array<std::string_view, 2> kStrategies{"cutover", "replace"};
constexpr std::array<std::string_view, 2> kOnFailure{"rollback", "hold"};

/// Why two instances cannot run side by side; empty when they can.
std::string reason_to_replace(const Service& service) {
  if (service.network == NetworkMode::host) return "host network";
  const auto writable = std::find_if(service.volumes.begin(), service.volumes.end(),
                                     [](const VolumeMount& volume) { return !volume.read_only; });
  return writable == service.volumes.end() ? std::string{} : "writable volume " + writable->source;
}

void resolve(std::optional<Strategy> written, Service& service) {
  auto reason = reason_to_replace(service);
  auto& update = service.update;
  update.strategy = written.value_or(reason.empty() ? Strategy::cutover : Strategy::replace);
  if (update.strategy == Strategy::replace)
    update.strategy_reason = written ? "written" : std::move(reason);
}

void check_cutover(yaml::Fields& fields, const Service& service) {
  const auto mark = fields.value_mark("strategy");
  const auto reason = reason_to_replace(service);
  if (service.network == NetworkMode::host) {
    fields.findings().error(
        mark,
        fmt::format("{} cannot be cutover with network host: two instances would want the same "
                    "ports",
                    fields.path("strategy")),
        "write replace, or leave the strategy out");
  } else if (!reason.empty()) {
    fields.findings().warning(
        mark,
        fmt::format("{} is cutover with a {}: both versions write to it during the update",
                    fields.path("strategy"), reason),
        "make sure that the program allows it, or write replace");
  }
}

/// A gate that closes before the probes count cannot pass a slow start.
void check_deadline(yaml::Fields& fields, const Service& service) {
  if (!service.health || service.health->start_period < service.update.deadline) return;
  fields.findings().warning(
      fields.has("deadline") ? fields.value_mark("deadline") : fields.mark(),
      fmt::format("{} ends before health.start_period", fields.path("deadline")),
      "give the deadline more time than the start period");
}

}  // namespace

void read_update(yaml::Fields& service, ServiceDraft& draft) {
  const auto* node = service.find("update");
  if (node == nullptr) {
    resolve({}, draft.service);
    check_deadline(service, draft.service);
    return;
  }
  yaml::Fields fields{*node, service.path("update"), kUpdateKeys, service.findings()};
  json::Object canon;
  auto& update = draft.service.update;
  std::optional<Strategy> written;
  if (const auto found = fields.choice("strategy", kStrategies)) {
    written = static_cast<Strategy>(*found);
    canon.set("strategy", kStrategies[*found]);
  }
  if (const auto found = fields.choice("on_failure", kOnFailure)) {
    update.on_failure = static_cast<OnFailure>(*found);
    canon.set("on_failure", kOnFailure[*found]);
  }
  take(canon, "deadline", fields.duration("deadline", {Milliseconds{1'000}, hours{24}}),
       update.deadline);
  take(canon, "soak", fields.duration("soak", {Milliseconds{0}, hours{24}}), update.soak);
  take(canon, "drain", fields.duration("drain", {Milliseconds{0}, hours{1}}), update.drain);
  take(canon, "standby", fields.duration("standby", {Milliseconds{0}, hours{168}}), update.standby);
  read_window(fields, update, canon);
  resolve(written, draft.service);
  if (written == Strategy::cutover) check_cutover(fields, draft.service);
  check_deadline(fields, draft.service);
  draft.canon.set("update", canon);
}

}  // namespace holdfast::proto
