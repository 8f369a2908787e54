#include "agent/daemon/open_source.hpp"

#include "deploy/desired/file_origin.hpp"
#include "deploy/desired/file_source.hpp"
#include "deploy/desired/https_origin.hpp"
#include "deploy/desired/signature_child.hpp"
#include "deploy/desired/signed_source.hpp"

namespace holdfast::agent::daemon {
namespace {

namespace desired = deploy::desired;

Result<std::unique_ptr<desired::SignedOrigin>> open_origin(const proto::AgentConfig& config,
                                                           const std::string& worker_path) {
  if (!config.source.file.empty()) return desired::FileOrigin::watch(config.source.file);
  return std::unique_ptr<desired::SignedOrigin>{
      std::make_unique<desired::HttpsOrigin>(desired::HttpsOrigin::Setup{
          .source = config.source, .proxy = config.proxy, .worker_path = worker_path})};
}

}  // namespace

Result<std::unique_ptr<desired::Source>> open_source(const proto::AgentConfig& config,
                                                     const std::string& worker_path,
                                                     const Clock& clock) {
  if (config.source.trust.empty()) return desired::FileSource::watch(config.source.file);
  HF_ASSIGN(auto origin, open_origin(config, worker_path));
  return std::unique_ptr<desired::Source>{std::make_unique<desired::SignedSource>(
      desired::SignedSource::Parts{.origin = std::move(origin),
                                   .state = desired::TrustFile{config.state_dir / "trust.json"},
                                   .first_root = config.source.trust,
                                   .labels = config.labels,
                                   .clock = clock,
                                   .checker = [worker_path](std::stop_token stop) {
                                     return desired::check_in_child(worker_path, std::move(stop));
                                   }})};
}

}  // namespace holdfast::agent::daemon
