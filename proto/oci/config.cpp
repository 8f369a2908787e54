#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "common/base/text.hpp"
#include "common/crypto/sha256.hpp"
#include "proto/oci/fields.hpp"
#include "proto/oci/oci.hpp"

namespace holdfast::proto::oci {
namespace {

namespace bj = boost::json;

/// a malformed entry must not reach a runtime, which might fill it from the host.
Status check_env(const std::vector<std::string>& env) {
  for (const auto& entry : env) {
    const auto equals = entry.find('=');
    if (equals == std::string::npos || equals == 0)
      return Error{Errc::runtime, fmt::format("the image's Env entry \"{}\" is not NAME=value",
                                              printable(entry.substr(0, 80)))}
          .hint("build the image again with a proper ENV line");
  }
  return ok();
}

/// T-17.
Status check_volumes(const std::vector<std::string>& volumes) {
  for (const auto& path : volumes) {
    const auto parts = split(path, '/');
    if (!path.starts_with('/') || std::find(parts.begin(), parts.end(), "..") != parts.end())
      return Error{Errc::layer_corrupt, fmt::format("the image's volume \"{}\" is not a clean "
                                                    "absolute path",
                                                    printable(path.substr(0, 80)))};
  }
  return ok();
}

/// CVE-2024-21626: a leaked descriptor of the runtime as working directory.
Status check_working_dir(const std::string& path) {
  if (!path.starts_with("/proc/")) return ok();
  return Error{Errc::runtime, fmt::format("the image's working directory \"{}\" is inside /proc",
                                          printable(path.substr(0, 80)))}
      .hint("set working_dir in the deployment");
}

Result<std::vector<Digest>> parse_rootfs(const bj::object& object) {
  HF_ASSIGN(const auto* rootfs, object_member(object, "rootfs"));
  if (rootfs == nullptr) return Error{Errc::layer_corrupt, "\"rootfs\" must be given"};
  HF_ASSIGN(const auto type, text(*rootfs, "type"));
  if (type != "layers")
    return Error{Errc::layer_corrupt, fmt::format("\"rootfs.type\" is \"{}\", not \"layers\"",
                                                  printable(type.substr(0, 40)))};
  HF_ASSIGN(const auto ids, texts(*rootfs, "diff_ids"));
  if (ids.empty()) return Error{Errc::layer_corrupt, "\"rootfs.diff_ids\" is empty"};
  if (ids.size() > kMaxLayers)
    return Error{Errc::too_large,
                 fmt::format("{} diff_ids, more than {} layers", ids.size(), kMaxLayers)};
  std::vector<Digest> digests;
  for (const auto& id : ids) {
    HF_ASSIGN(auto digest, Digest::parse(id));
    digests.push_back(std::move(digest));
  }
  return digests;
}

Status parse_settings(const bj::object& settings, ImageConfig& image) {
  HF_ASSIGN(image.user, text(settings, "User"));
  HF_ASSIGN(image.env, texts(settings, "Env"));
  HF_TRY(check_env(image.env));
  HF_ASSIGN(image.entrypoint, texts(settings, "Entrypoint"));
  HF_ASSIGN(image.command, texts(settings, "Cmd"));
  HF_ASSIGN(image.working_dir, text(settings, "WorkingDir"));
  HF_TRY(check_working_dir(image.working_dir));
  HF_ASSIGN(image.volumes, key_set(settings, "Volumes"));
  HF_TRY(check_volumes(image.volumes));
  HF_ASSIGN(image.stop_signal, text(settings, "StopSignal"));
  HF_ASSIGN(image.labels, text_map(settings, "Labels"));
  return ok();
}

Result<ImageConfig> parse_object(const bj::object& object) {
  ImageConfig image;
  HF_ASSIGN(image.platform, platform(object));
  HF_ASSIGN(image.diff_ids, parse_rootfs(object));
  HF_ASSIGN(const auto* settings, object_member(object, "config"));
  if (settings != nullptr) HF_TRY(parse_settings(*settings, image));
  return image;
}

}  // namespace

Result<ImageConfig> parse_config(std::string_view bytes) {
  HF_ASSIGN(const auto value, document(bytes, "image configuration"));
  auto image = parse_object(value.get_object());
  if (!image) return std::move(image).error().in("image configuration");
  return image;
}

Digest chain_id(const std::vector<Digest>& diff_ids, std::size_t count) {
  if (count == 0 || count > diff_ids.size())
    detail::bad_result_access("chain_id of layers that are not there");
  Digest chain = diff_ids.front();
  for (std::size_t i = 1; i < count; ++i) chain = Digest::of(chain.str() + " " + diff_ids[i].str());
  return chain;
}

}  // namespace holdfast::proto::oci
