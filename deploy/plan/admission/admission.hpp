#pragma once
/// \file
/// Whether the images of a document may run on this host: the one gate for plan, apply and every
/// source. Pure.

#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "proto/deployment/deployment.hpp"

namespace holdfast::deploy::plan {

/// What is known of an image when a document is offered.
struct ImageFacts {
  std::string container;  ///< service or hook
  std::string reference;
  std::string tag;  ///< empty: pinned by digest alone
};

/// One entry for each service and hook, in the order of their names.
[[nodiscard]] std::vector<ImageFacts> image_facts(const proto::Deployment& document);

/// The policies of host and document together: of each rule the stricter.
[[nodiscard]] proto::ImagePolicy stricter(const proto::ImagePolicy& host,
                                          const proto::ImagePolicy& document);

/// Errors: policy, naming the container and the rule. A rule that this version cannot enforce
/// refuses every image: it must not be taken for one that is kept. A tag is a version when it is
/// one by semver.org 2.0, with or without a leading "v" (proto::rules::is_semver, as `lint` says).
[[nodiscard]] Status admit(const std::vector<ImageFacts>& images, const proto::ImagePolicy& policy);

}  // namespace holdfast::deploy::plan
