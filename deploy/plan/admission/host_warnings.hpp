#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "deploy/plan/model/model.hpp"
#include "proto/deployment/deployment.hpp"
#include "proto/oci/oci.hpp"

namespace holdfast::deploy::plan {

/// What is known of the host besides the document.
struct HostView {
  bool has_name_server = true;    ///< that containers with a network of their own can reach
  std::set<Address> addresses{};  ///< of its links; empty: not known
  std::map<proto::ServiceName, std::string> lacks{};  ///< what it cannot give, by container
  /// Of the images on this disk, by the digest that documents pin.
  std::map<proto::Digest, proto::oci::ImageConfig> images;
};

/// What a sound document will miss on this host, each with the line to write: no name server for
/// containers; what is asked of it and it cannot give; a published address that is not the host's,
/// which leads nowhere until it is; directories that an image declares as VOLUME (OCI image-spec,
/// config.md) and no volume or tmpfs covers, whose content ends with each instance. Images that are
/// not here are not judged. In the order of the services. Pure.
[[nodiscard]] std::vector<std::string> host_warnings(const proto::Deployment& wanted,
                                                     const HostView& host);

}  // namespace holdfast::deploy::plan
