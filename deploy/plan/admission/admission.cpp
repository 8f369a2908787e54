#include "deploy/plan/admission/admission.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "proto/deployment/rules.hpp"

namespace holdfast::deploy::plan {

std::vector<ImageFacts> image_facts(const proto::Deployment& document) {
  std::vector<ImageFacts> all;
  for (const auto& [name, container] : proto::containers(document))
    all.push_back({name.str(), container->image.str(), container->image.tag});
  return all;
}

proto::ImagePolicy stricter(const proto::ImagePolicy& host, const proto::ImagePolicy& document) {
  auto both = host;
  both.require_semver_tag = host.require_semver_tag || document.require_semver_tag;
  std::set<std::string> keys(host.require_signature.begin(), host.require_signature.end());
  keys.insert(document.require_signature.begin(), document.require_signature.end());
  both.require_signature.assign(keys.begin(), keys.end());
  if (document.max_size && (!host.max_size || *document.max_size < *host.max_size))
    both.max_size = document.max_size;
  return both;
}

Status admit(const std::vector<ImageFacts>& images, const proto::ImagePolicy& policy) {
  if (!policy.require_signature.empty() && !images.empty())
    return Error{Errc::policy,
                 fmt::format("policy.images.require_signature asks for signatures by {}, and this "
                             "version of the agent checks none",
                             fmt::join(policy.require_signature, ", "))}
        .hint(
            "take require_signature out of the document or of agent.yaml; images stay pinned by "
            "digest");
  if (!policy.require_semver_tag) return ok();
  for (const auto& image : images) {
    if (!proto::rules::is_semver(image.tag))
      return Error{Errc::policy,
                   fmt::format("{}: tag \"{}\" is not a version like 1.8.2, which the policy of "
                               "this host or of the document asks for",
                               image.container, image.tag)}
          .hint("name a version tag beside the digest");
  }
  return ok();
}

}  // namespace holdfast::deploy::plan
