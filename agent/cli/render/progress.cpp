#include "agent/cli/render/progress.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "agent/cli/render/detail.hpp"
#include "agent/cli/render/views.hpp"
#include "agent/cli/render/when.hpp"
#include "common/base/text.hpp"

namespace holdfast::agent::cli {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMostLayers = 6;
constexpr std::size_t kBarWidth = 14;

double seconds_between(BootTime from, BootTime to) {
  return std::chrono::duration<double>(to - from).count();
}

std::string bar(std::uint64_t bytes, std::uint64_t total, const Look& look) {
  const auto filled =
      total == 0 ? 0 : static_cast<std::size_t>(std::min(bytes, total) * kBarWidth / total);
  std::string text;
  for (std::size_t i = 0; i < kBarWidth; ++i)
    text += i < filled ? (look.utf8 ? "━" : "=") : (look.utf8 ? "─" : "-");
  return text;
}

int percent(std::uint64_t bytes, std::uint64_t total) {
  return total == 0 ? 0 : static_cast<int>(std::min(bytes, total) * 100 / total);
}

/// What a kind of event is called, and whether it is good news. Empty: it is not a fact of its own.
std::pair<std::string, Mark> words_of(std::string_view kind) {
  if (kind == "accepted") return {"accepted", Mark::good};
  if (kind == "switched") return {"switched", Mark::good};
  if (kind == "good") return {"good", Mark::good};
  if (kind == "failed") return {"failed", Mark::bad};
  if (kind == "rollback_started") return {"going back", Mark::warn};
  if (kind == "rolled_back") return {"rolled back", Mark::warn};
  if (kind == "quarantined") return {"quarantined", Mark::warn};
  if (kind == "held") return {"held", Mark::warn};
  if (kind == "resumed") return {"resumed", Mark::good};
  if (kind == "superseded") return {"superseded", Mark::warn};
  if (kind == "hook_started") return {"hook", Mark::busy};
  if (kind == "hook_finished") return {"hook done", Mark::good};
  if (kind == "hook_failed") return {"hook failed", Mark::bad};
  if (kind == "instance_exited") return {"exited", Mark::bad};
  if (kind == "completed") return {"completed", Mark::good};
  if (kind == "stop_killed") return {"killed", Mark::warn};
  if (kind == "restarted") return {"restarted", Mark::warn};
  if (kind == "stopped") return {"stopped", Mark::warn};
  if (kind == "started") return {"started", Mark::good};
  return {};
}

}  // namespace

std::uint64_t Progress::Image::bytes() const {
  std::uint64_t sum = 0;
  for (const auto& [name, layer] : layers) sum += layer.bytes;
  return sum;
}

std::uint64_t Progress::Image::total() const {
  std::uint64_t sum = 0;
  for (const auto& [name, layer] : layers) sum += layer.total;
  return sum;
}

std::string Progress::Image::verb() const {
  for (const auto& [name, layer] : layers) {
    if (layer.phase == "verifying" || layer.phase == "exporting") return layer.phase;
  }
  return "pulling";
}

void Progress::on(const proto::api::Event& event, BootTime now) {
  if (event.generation != 0 && event.generation != generation_) return;
  if (event.kind == "pull") return on_pull(event, now);
  if (event.generation == 0 || event.kind == "result") return;
  if (event.kind == "phase") {
    phase_ = printable(event.message);
    phase_since_ = now;
    return;
  }
  on_entry(event);
}

void Progress::on_entry(const proto::api::Event& event) {
  const auto [what, mark] = words_of(event.kind);
  if (what.empty()) return;
  auto text = printable(event.service);
  if (!event.message.empty())
    text += (text.empty() ? "" : "  ") + printable(shorten_digests(event.message));
  if (text.empty()) text = fmt::format("generation {}", event.generation);
  facts_.push_back({mark, what, text});
}

void Progress::on_pull(const proto::api::Event& event, BootTime now) {
  const auto pull = decode_pull(event.detail);
  if (pull.image.empty()) {
    facts_.push_back({Mark::warn, "pull", printable(shorten_digests(event.message))});
    return;
  }
  if (!only_.empty() && pull.image != only_) return;
  auto& image = images_[printable(short_image(pull.image))];
  if (image.started == BootTime{}) image.started = image.shown_at = now;
  if (!pull.layer.empty()) {
    auto& layer = image.layers[printable(pull.layer)];
    // What was only hashed was not pulled.
    if (layer.phase == "verifying" && pull.phase == "done") {
      image.layers.erase(printable(pull.layer));
      return;
    }
    layer = {std::max(layer.bytes, pull.bytes), std::max(layer.total, pull.total),
             printable(pull.phase), pull.rate, pull.seconds_left};
  } else if (pull.phase == "done" && !image.done) {
    image.done = true;
    const auto took = seconds_text(seconds_between(image.started, now));
    const auto name = printable(short_image(pull.image));
    const auto what = image.bytes() == 0
                          ? "was here already"
                          : fmt::format("{} in {}", human_bytes(image.bytes()), took);
    facts_.push_back({Mark::good, "pulled", fmt::format("{}  {}", name, what)});
  }
}

std::vector<std::string> Progress::take_facts(const Look& look) {
  std::vector<std::string> lines;
  for (const auto& fact : std::exchange(facts_, {}))
    lines.push_back(fmt::format("{} {:<11} {}", mark(fact.mark, look), fact.what, fact.text));
  return lines;
}

std::string Progress::image_bar(const std::string& name, const Image& image, const Look& look,
                                BootTime now) const {
  const auto bytes = image.bytes();
  const auto total = image.total();
  const auto spent = seconds_between(image.started, now);
  auto text = fmt::format("{} {}  {} {:>3}%  {}/{}", image.verb(), name, bar(bytes, total, look),
                          percent(bytes, total), human_bytes(bytes), human_bytes(total));
  if (spent > 0.5 && bytes > 0) {
    const double rate = static_cast<double>(bytes) / spent;
    text += fmt::format("  {}/s", human_bytes(static_cast<std::uint64_t>(rate)));
    if (total > bytes)
      text += fmt::format(
          "  eta {}",
          human_duration(std::chrono::seconds{
              static_cast<std::int64_t>(static_cast<double>(total - bytes) / rate) + 1}));
  }
  return text;
}

std::vector<std::string> Progress::live(const Look& look, BootTime now) const {
  std::vector<std::string> lines;
  std::size_t layers = 0;
  for (const auto& [name, image] : images_) {
    if (image.done) continue;
    lines.push_back(cut(image_bar(name, image, look, now), look.width - 1, look));
    for (const auto& [layer_name, layer] : image.layers) {
      if (layer.phase == "done" || layers == kMostLayers) continue;
      ++layers;
      auto size = layer.phase == "downloading" || layer.phase == "verifying"
                      ? fmt::format("{}/{}", human_bytes(layer.bytes), human_bytes(layer.total))
                      : fmt::format("{}  {}", human_bytes(layer.total), layer.phase);
      if (layer.phase == "downloading" && layer.rate > 0)
        size += fmt::format("  {}/s", human_bytes(layer.rate));
      if (layer.phase == "downloading" && layer.seconds_left)
        size += fmt::format("  eta {}", human_duration(std::chrono::seconds{*layer.seconds_left}));
      lines.push_back(
          cut(fmt::format("  {:<14} {} {:>3}%  {}", layer_name, bar(layer.bytes, layer.total, look),
                          percent(layer.bytes, layer.total), size),
              look.width - 1, look));
    }
  }
  if (!phase_.empty())
    lines.push_back(
        cut(fmt::format("{} {} for {}",
                        mark(Mark::busy, Look{look.terminal, false, look.utf8, look.width}), phase_,
                        seconds_text(seconds_between(phase_since_, now))),
            look.width - 1, look));
  return lines;
}

std::vector<std::string> Progress::take_plain(const Look& look, BootTime now) {
  std::vector<std::string> lines;
  if (phase_ != shown_phase_) {
    shown_phase_ = phase_;
    lines.push_back(fmt::format("{} {}", mark(Mark::busy, look), phase_));
  }
  for (auto& [name, image] : images_) {
    const auto bytes = image.bytes();
    const auto total = image.total();
    if (image.done || total == 0 || bytes == 0) continue;
    const int tenth = percent(bytes, total) / 10;
    if (tenth <= image.shown_tenth && now < image.shown_at + 10s) continue;
    image.shown_tenth = tenth;
    image.shown_at = now;
    lines.push_back(fmt::format("{} {:<11} {}  {}%  {}/{}", mark(Mark::busy, look), image.verb(),
                                name, percent(bytes, total), human_bytes(bytes),
                                human_bytes(total)));
  }
  return lines;
}

}  // namespace holdfast::agent::cli
