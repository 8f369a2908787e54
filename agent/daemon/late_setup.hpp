#pragma once
#include <array>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"

namespace holdfast::agent::daemon {

/// What of the configuration cannot be had at the moment: a port that another program has, a group
/// that no name service knows yet, a token. The agent runs without, says so, and tries again: what
/// it keeps running is worth more. Not thread safe.
class LateSetup {
 public:
  static constexpr std::string_view kMetrics = "metrics_listen";
  static constexpr std::string_view kGroups = "groups";
  static constexpr std::string_view kToken = "metrics_token_file";

  /// Is logged when it is news.
  void lacks(std::string_view what, const Error& why);
  void has(std::string_view what);
  [[nodiscard]] bool is_missing(std::string_view what) const;
  /// "the metrics are not served: …", for people.
  [[nodiscard]] std::vector<std::string> texts() const;
  /// 1 for what is missing, 0 for the rest of what can be.
  [[nodiscard]] std::map<std::string, double> gauges() const;

 private:
  std::map<std::string, std::string, std::less<>> missing_;
};

}  // namespace holdfast::agent::daemon
