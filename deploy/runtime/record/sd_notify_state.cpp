#include "deploy/runtime/record/sd_notify_state.hpp"

#include <fmt/format.h>

#include "common/base/text.hpp"

namespace holdfast::deploy::runtime {

bool uses_sd_notify(const proto::Service& service) {
  return service.health && std::holds_alternative<proto::NotifyProbe>(service.health->probe);
}

void take_datagram(SdNotifyState& state, std::string_view datagram, BootTime now) {
  for (const auto line : split(datagram, '\n')) {
    if (line == "READY=1") {
      state.ready = true;
      state.stopping = false;
    } else if (line == "STOPPING=1") {
      state.stopping = true;
    } else if (line == "WATCHDOG=1") {
      state.watchdog = now;
      state.gave_up = false;
    } else if (line == "WATCHDOG=trigger") {
      state.gave_up = true;
    } else if (line.starts_with("STATUS=")) {
      state.status = std::string{line.substr(7)};
    }
  }
}

Milliseconds watchdog_time(const proto::HealthRule& rule) { return rule.interval * 2; }

NotifiedVerdict judge(const SdNotifyState& state, const proto::HealthRule& rule, BootTime now) {
  const auto say = [&](bool healthy, std::string text) {
    if (!state.status.empty()) text += fmt::format(" (it says: {})", printable(state.status));
    return NotifiedVerdict{healthy, std::move(text)};
  };
  if (!state.ready) return say(false, "READY=1 has not been received");
  if (state.stopping) return say(false, "STOPPING=1 was received");
  if (state.gave_up) return say(false, "WATCHDOG=trigger was received");
  if (state.watchdog && now - *state.watchdog > watchdog_time(rule))
    return say(false, fmt::format("no WATCHDOG=1 for {}", human_duration(now - *state.watchdog)));
  return say(true, "READY=1 was received");
}

}  // namespace holdfast::deploy::runtime
