#pragma once
/// \file
/// The progress of a change, from its events. Pure; `ProgressPrinter` puts it on a stream.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/cli/render/look.hpp"
#include "common/base/clock.hpp"
#include "proto/api/messages.hpp"

namespace holdfast::agent::cli {

/// What is known of a change so far. Not thread safe.
class Progress {
 public:
  explicit Progress(std::uint64_t generation) : generation_(generation) {}

  /// Of an image job: pulls of these images only (empty: of all), nothing of rollouts.
  static Progress of_images(std::string reference) {
    Progress progress{0};
    progress.only_ = std::move(reference);
    return progress;
  }

  /// Events of other generations are ignored.
  void on(const proto::api::Event& event, BootTime now);
  /// What became certain since the last call, one line each, for ever true.
  [[nodiscard]] std::vector<std::string> take_facts(const Look& look);
  /// What goes on now: bars for at most six layers and one for each image, or the phase. At most
  /// `look.width` columns each.
  [[nodiscard]] std::vector<std::string> live(const Look& look, BootTime now) const;
  /// The same for a stream that is only appended to: a line at each new phase, tenth of an image or
  /// ten seconds, else nothing.
  [[nodiscard]] std::vector<std::string> take_plain(const Look& look, BootTime now);

 private:
  struct Layer {
    std::uint64_t bytes = 0;
    std::uint64_t total = 0;
    std::string phase;
    std::uint64_t rate = 0;  ///< bytes a second; 0: not known
    std::optional<std::uint64_t> seconds_left;
  };
  struct Image {
    std::map<std::string, Layer> layers;
    BootTime started{};
    bool done = false;
    int shown_tenth = 0;
    BootTime shown_at{};
    [[nodiscard]] std::uint64_t bytes() const;
    [[nodiscard]] std::uint64_t total() const;
    [[nodiscard]] std::string verb() const;  ///< what is done with it now
  };
  struct Fact {
    Mark mark;
    std::string what;
    std::string text;
  };

  void on_pull(const proto::api::Event& event, BootTime now);
  void on_entry(const proto::api::Event& event);
  [[nodiscard]] std::string image_bar(const std::string& name, const Image& image, const Look& look,
                                      BootTime now) const;

  std::uint64_t generation_;
  std::string only_;
  std::map<std::string, Image> images_;
  std::vector<Fact> facts_;
  std::string phase_;
  std::string shown_phase_;
  BootTime phase_since_{};
};

/// Shows a `Progress`: redrawn lines on a terminal, at most ten times a second; plain lines
/// elsewhere; nothing when quiet.
class ProgressPrinter {
 public:
  enum class Style : std::uint8_t { live, plain, silent };
  ProgressPrinter(int fd, const Look& look, Style style) : fd_(fd), look_(look), style_(style) {}
  ~ProgressPrinter() { clear(); }
  ProgressPrinter(const ProgressPrinter&) = delete;
  ProgressPrinter& operator=(const ProgressPrinter&) = delete;

  void show(Progress& progress, BootTime now);
  /// Takes the live lines off the terminal.
  void clear();
  /// How often `show` wants to be called while nothing happens.
  [[nodiscard]] Milliseconds period() const {
    return style_ == Style::live ? Milliseconds{100} : Milliseconds{1000};
  }

 private:
  void write(const std::string& text) const;

  int fd_;
  Look look_;
  Style style_;
  std::size_t drawn_ = 0;
  BootTime drawn_at_{};
};

}  // namespace holdfast::agent::cli
