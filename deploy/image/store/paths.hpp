#pragma once
/// \file
/// Where everything of the store lies. Only this header puts paths together.
///
///   STATE/
///     blobs/sha256/<hex>          manifests and configs, checked again when read
///     layers/<key>/fs             one unpacked layer; key: diff_id, chain ID, or top1-<manifest>
///     layers/<key>/meta.json      LayerMeta
///     layers/<key>/verified       its time is when the layer was last found whole
///     layers/<key>/damaged        what was found wrong with it; it is not used for anything new
///     replaced/<key>.<n>          a damaged layer that was exchanged, while containers may run on
///     it images/<pinned hex>.json    ImageRecord; there once all the rest is leases/<pinned
///     hex>.json    until when somebody's pull or import keeps the image ingest/<lease>/ work in
///     progress; its lock file is held; swept at open partial/<hex>               the first bytes
///     of a layer whose download broke off; locked in use

#include <filesystem>
#include <string>

#include "proto/digest.hpp"

namespace holdfast::deploy::image {

struct Paths {
  std::filesystem::path state;

  [[nodiscard]] std::filesystem::path blobs() const { return state / "blobs" / "sha256"; }
  [[nodiscard]] std::filesystem::path blob(const proto::Digest& digest) const {
    return blobs() / digest.hex();
  }
  [[nodiscard]] std::filesystem::path layers() const { return state / "layers"; }
  [[nodiscard]] std::filesystem::path layer(const std::string& key) const { return layers() / key; }
  [[nodiscard]] std::filesystem::path tree(const std::string& key) const {
    return layer(key) / "fs";
  }
  [[nodiscard]] std::filesystem::path meta(const std::string& key) const {
    return layer(key) / "meta.json";
  }
  [[nodiscard]] std::filesystem::path verified(const std::string& key) const {
    return layer(key) / "verified";
  }
  [[nodiscard]] std::filesystem::path damaged(const std::string& key) const {
    return layer(key) / "damaged";
  }
  [[nodiscard]] std::filesystem::path replaced() const { return state / "replaced"; }
  [[nodiscard]] std::filesystem::path instances() const { return state / "instances"; }
  [[nodiscard]] std::filesystem::path images() const { return state / "images"; }
  [[nodiscard]] std::filesystem::path image(const proto::Digest& pinned) const {
    return images() / (pinned.hex() + ".json");
  }
  [[nodiscard]] std::filesystem::path leases() const { return state / "leases"; }
  [[nodiscard]] std::filesystem::path lease(const proto::Digest& pinned) const {
    return leases() / (pinned.hex() + ".json");
  }
  [[nodiscard]] std::filesystem::path ingest() const { return state / "ingest"; }
  [[nodiscard]] std::filesystem::path partials() const { return state / "partial"; }
};

/// Key of the synthetic top layer of an image. The number grows when what we put into it changes.
[[nodiscard]] inline std::string top_key(const proto::Digest& manifest) {
  return "top1-" + manifest.hex();
}

}  // namespace holdfast::deploy::image
