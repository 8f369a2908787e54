#include <fmt/format.h>

#include <algorithm>

#include "agent/cli/render/table.hpp"
#include "agent/cli/render/views.hpp"
#include "agent/cli/render/when.hpp"
#include "common/base/text.hpp"

namespace holdfast::agent::cli {
namespace {

namespace api = proto::api;

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::string needed_text(const api::ImageItem& image, WallTime now) {
  auto why = image.needed_by;
  if (const auto until = parse_rfc3339(image.leased_until))
    why.push_back(fmt::format(
        "lease, {} left", human_duration(std::max<Milliseconds>(*until - now, Milliseconds{0}))));
  return why.empty() ? "nothing" : joined(why);
}

}  // namespace

std::string image_name(const std::string& reference, const std::string& digest) {
  return reference.empty() ? short_digest(digest) : short_image(reference);
}

std::string images_view(const std::vector<api::ImageItem>& images, const Look& look, WallTime now) {
  if (images.empty()) return "no images are here\n";
  Table table{{{"IMAGE"},
               {"DIGEST"},
               {"SIZE", Align::right},
               {"PULLED"},
               {"VERIFIED"},
               {"STATE"},
               {"NEEDED BY"}}};
  std::string damage;
  for (const auto& image : images) {
    const auto name = image_name(image.reference, image.digest);
    table.add({{name, Tone::bold},
               {short_digest(image.digest), Tone::dim},
               {human_bytes(image.bytes)},
               {ago(image.pulled, now)},
               {image.verified.empty() ? "-" : ago(image.verified, now)},
               {image.damage.empty() ? "whole" : "damaged",
                image.damage.empty() ? Tone::good : Tone::act},
               {needed_text(image, now)}});
    for (const auto& what : image.damage)
      damage += fmt::format("{} {}: {}\n", mark(Mark::bad, look), printable(name),
                            printable(shorten_digests(what)));
  }
  auto out = table.render(look);
  if (!damage.empty()) out += "\n" + damage + "  next: holdfast image verify --repair\n";
  return out;
}

std::string gc_view(const api::ImageGcReport& report, const Look& look) {
  const auto* verb = report.dry_run ? "would go" : "removed";
  std::string out;
  std::size_t layers = 0;
  std::size_t blobs = 0;
  for (const auto& item : report.removed) {
    if (item.kind == "image")
      out += fmt::format("{} {}  {}\n", verb, printable(image_name(item.reference, item.name)),
                         printable(short_digest(item.name)));
    layers += item.kind == "layer" || item.kind == "replaced" ? 1 : 0;
    blobs += item.kind == "blob" ? 1 : 0;
  }
  if (report.removed.empty()) {
    out += "nothing to remove\n";
  } else {
    out += fmt::format("{} {} layers and {} documents, {}\n", verb, layers, blobs,
                       human_bytes(report.bytes));
  }
  if (!report.dry_run || report.kept.empty()) return out;
  Table table{{{"STAYS"}, {"DIGEST"}, {"BECAUSE OF"}}};
  for (const auto& item : report.kept)
    table.add({{image_name(item.reference, item.digest), Tone::bold},
               {short_digest(item.digest), Tone::dim},
               {joined(item.why)}});
  return out + "\n" + table.render(look);
}

}  // namespace holdfast::agent::cli
