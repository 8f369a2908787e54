#include <fmt/format.h>

#include "agent/cli/render/progress.hpp"
#include "common/os/file.hpp"

namespace holdfast::agent::cli {
namespace {

constexpr Milliseconds kRedraw{100};

}  // namespace

void ProgressPrinter::write(const std::string& text) const {
  if (!text.empty()) (void)os::write_all(fd_, text);  // nobody to tell when stderr is gone
}

void ProgressPrinter::clear() {
  if (drawn_ > 0) write(fmt::format("\x1b[{}A\x1b[J", drawn_));
  drawn_ = 0;
}

void ProgressPrinter::show(Progress& progress, BootTime now) {
  auto facts = progress.take_facts(look_);
  if (style_ == Style::silent) return;
  std::string text;
  if (style_ == Style::plain) {
    for (const auto& line : progress.take_plain(look_, now)) text += line + "\n";
    for (const auto& line : facts) text += line + "\n";
    return write(text);
  }
  if (facts.empty() && drawn_ > 0 && now < drawn_at_ + kRedraw) return;
  if (drawn_ > 0) text = fmt::format("\x1b[{}A\x1b[J", drawn_);
  for (const auto& line : facts)
    text += cut(line, look_.colour ? line.size() : look_.width - 1, look_) + "\n";
  const auto live = progress.live(look_, now);
  for (const auto& line : live) text += line + "\n";
  drawn_ = live.size();
  drawn_at_ = now;
  write(text);
}

}  // namespace holdfast::agent::cli
