#pragma once
/// \file
/// How the document's mappings become a `Service`. Internal to proto/deployment and proto/config.

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proto/deployment/deployment.hpp"
#include "proto/deployment/rules.hpp"
#include "proto/json/canonical.hpp"
#include "proto/yaml/fields.hpp"

namespace holdfast::proto {

/// A service while it is read: the value, its canonical text, and the places that later checks
/// report.
struct ServiceDraft {
  ServiceName name;
  yaml::Mark mark;
  Service service;
  json::Object canon;
  std::vector<yaml::Mark> publish_marks;     ///< as service.publish
  std::vector<yaml::Mark> depends_on_marks;  ///< as service.depends_on
};

/// Stores a value that was read and says it in canonical form; absent values change nothing.
template <class T, class U>
void take(json::Object& canon, std::string_view key, const std::optional<T>& found, U& into) {
  if (!found) return;
  into = static_cast<U>(*found);
  canon.set(key, *found);
}

/// Reports a fault of the value at `mark`. True when there was none.
bool accept(yaml::Findings& findings, yaml::Mark mark, std::string_view where,
            const rules::Verdict& verdict);

/// A list in place of a mapping, or the other way round, as compose files allow; true when it was
/// refused. `must` continues "<key> must be ".
bool refuse_form(yaml::Fields& fields, std::string_view key, yaml::Kind form, std::string_view must,
                 std::string (*hint)(const yaml::Node&));

/// One service of the document with everything that can be checked without the others.
[[nodiscard]] ServiceDraft read_service(const yaml::Member& member, const ImagePolicy& policy,
                                        yaml::Findings& findings);

/// The mapping `hooks`: those of each stage. Names are held against `services`.
[[nodiscard]] Hooks read_hooks(const yaml::Node& node, const ImagePolicy& policy,
                               const std::vector<ServiceDraft>& services, yaml::Findings& findings,
                               json::Object& canon);

/// A draft with nothing read yet.
[[nodiscard]] ServiceDraft empty_draft(std::string_view name, yaml::Mark mark);
/// What services and hooks share: image, arguments, env, working_dir, network, mounts, init,
/// ulimits, sysctls, resources, security, stop.
void read_container(yaml::Fields& fields, const ImagePolicy& policy, ServiceDraft& draft);

/// Warns of what passes as it is and may have been meant otherwise: "$NAME".
void warn_of_dollars(yaml::Findings& findings, yaml::Mark mark, const std::string& where,
                     std::string_view value);

// Each reads one or a few keys of a service.
void read_env(yaml::Fields& service, ServiceDraft& draft);
/// After secrets and configs: what variables take from one must be there.
void check_env_sources(yaml::Fields& service, const Service& read);
/// secrets, configs, volumes, tmpfs.
void read_mounts(yaml::Fields& service, ServiceDraft& draft);
/// After the network is known: dns, dns_search, extra_hosts, hostname.
void read_names(yaml::Fields& service, ServiceDraft& draft);
/// `labels`: bounded, acted on by nothing.
void read_labels(yaml::Fields& service, ServiceDraft& draft);
void read_devices(yaml::Fields& service, ServiceDraft& draft);
/// After mounts and network are known: init, ulimits, sysctls, shm_size.
void read_process(yaml::Fields& service, ServiceDraft& draft);
void read_health(yaml::Fields& service, ServiceDraft& draft);
void read_security(yaml::Fields& service, ServiceDraft& draft);
/// After volumes and network are known: resolves the strategy (packaging/doc/design.md 4).
void read_update(yaml::Fields& service, ServiceDraft& draft);
/// `window` of the mapping `update`.
void read_window(yaml::Fields& update, UpdateRule& rule, json::Object& canon);

/// Run hash and policy hash of what the document says (README.md of this folder lists the keys of
/// each).
void hash_service(ServiceDraft& draft);
/// Whether a change below this key of a service needs a new container. `image` (its digest does)
/// and `health` (sd_notify does) are decided by their content.
[[nodiscard]] bool is_run_key(std::string_view key);

/// The mapping below `policy.images`; shared with agent.yaml.
[[nodiscard]] ImagePolicy read_image_policy(const yaml::Node& node, std::string path,
                                            yaml::Findings& findings, json::Object& canon);

/// The mapping `drift`, if there is one; shared with agent.yaml.
[[nodiscard]] DriftPolicy read_drift_policy(yaml::Fields& top, json::Object& canon);

/// Faults between services: published ports, unknown dependencies, cycles.
void check_between_services(const std::vector<ServiceDraft>& drafts, yaml::Findings& findings);

/// Findings as diagnostics of `file`, in document order.
[[nodiscard]] std::vector<Diagnostic> diagnostics(const yaml::Findings& findings,
                                                  yaml::Severity severity, std::string_view file);

}  // namespace holdfast::proto
