#pragma once
#include <string>

#include "deploy/desired/signed_bytes.hpp"
#include "proto/config/agent_config.hpp"

namespace holdfast::deploy::desired {

/// A signed document at an https URL; roots lie beside it. Each answer is fetched by a confined
/// child of its own (deploy/fetch): at most 2 MiB, 30 s, from that host alone. The files of the
/// configuration are read for each, so that a renewed certificate or token counts at once.
class HttpsOrigin final : public SignedOrigin {
 public:
  struct Setup {
    proto::SourceConfig source;
    proto::ProxyConfig proxy;
    std::string worker_path;  ///< holdfast-fetch lies beside it
  };
  explicit HttpsOrigin(Setup setup) : setup_(std::move(setup)) {}

  [[nodiscard]] const std::string& name() const override { return setup_.source.url; }
  /// Nothing announces a change.
  [[nodiscard]] int fd() const override { return -1; }
  [[nodiscard]] bool take_changes() override { return false; }
  [[nodiscard]] Result<SignedBytes> document(Freshness freshness,
                                             const std::stop_token& stop) override;
  [[nodiscard]] Result<std::string> root(std::uint64_t version,
                                         const std::stop_token& stop) override;

 private:
  struct Answer {
    std::string text;
    std::string etag;
    bool unchanged = false;
  };
  [[nodiscard]] Result<Answer> get(const std::string& path, const std::string& etag,
                                   const std::stop_token& stop) const;

  Setup setup_;
  std::string etag_;  ///< of the last document
};

}  // namespace holdfast::deploy::desired
