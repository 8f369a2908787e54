#pragma once
#include "agent/daemon/api.hpp"

namespace holdfast::agent::daemon {

/// A request on its way through a route.
struct Api::Call {
  ExchangePtr exchange;
  std::string argument;  ///< of the path's {}

  [[nodiscard]] const Request& request() const { return exchange->request(); }
  /// Errors: usage.
  [[nodiscard]] Result<std::uint64_t> number(const std::string& name,
                                             std::uint64_t otherwise) const;
  /// "1" or "0" (absent). Errors: usage.
  [[nodiscard]] Result<bool> flag(const std::string& name) const;
  [[nodiscard]] std::string text(const std::string& name) const;
  [[nodiscard]] std::string actor() const;
  void json(std::string body, unsigned status = 200) const {
    exchange->respond(Response{.status = status,
                               .content_type = "application/json",
                               .body = std::move(body),
                               .allow = ""});
  }
};

}  // namespace holdfast::agent::daemon
