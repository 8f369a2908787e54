#include <algorithm>
#include <iterator>

#include "proto/deployment/readers.hpp"

namespace holdfast::proto {
namespace {

// A key that stands in neither list would go unnoticed: both are compared with the schema in a
// test.
constexpr std::string_view kRunKeys[] = {
    "entrypoint", "command",  "env",     "working_dir", "secrets",    "volumes",     "tmpfs",
    "resources",  "security", "network", "dns",         "dns_search", "extra_hosts", "hostname",
    "init",       "ulimits",  "sysctls", "shm_size",    "configs",    "devices"};
constexpr std::string_view kPolicyKeys[] = {"publish", "health",     "update", "stop",
                                            "restart", "depends_on", "labels"};

}  // namespace

bool is_run_key(std::string_view key) {
  return std::find(std::begin(kRunKeys), std::end(kRunKeys), key) != std::end(kRunKeys);
}

void hash_service(ServiceDraft& draft) {
  auto& service = draft.service;
  json::Object run;
  run.set("image", service.image.digest.str());
  for (const auto key : kRunKeys) run.copy(key, draft.canon);
  // The notify socket is made with the container, so it belongs to it.
  if (service.health && std::holds_alternative<NotifyProbe>(service.health->probe))
    run.set("notify", true);

  json::Object policy;
  policy.set("image", service.image.name() + ":" + service.image.tag);
  for (const auto key : kPolicyKeys) policy.copy(key, draft.canon);

  service.run_hash = Digest::of(run.str());
  service.policy_hash = Digest::of(policy.str());
}

}  // namespace holdfast::proto
