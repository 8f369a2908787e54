#pragma once
/// \file
/// Documents for the simulated host of fake_ports.hpp.

#include <fmt/format.h>

#include <initializer_list>
#include <string>
#include <string_view>

#include "proto/digest.hpp"

namespace holdfast::test {

inline constexpr const char* kPublished = "publish: [\"8080:80\"]";

/// An image of the shop; its digest is that of `seed`.
inline std::string pinned(std::string_view name, std::string_view tag, std::string_view seed) {
  return fmt::format("registry.example.com/shop/{}:{}@sha256:{}", name, tag,
                     proto::Digest::of(seed).hex());
}

/// One of its services; `keys` are lines, "update: {soak: 1s}".
inline std::string service(std::string_view name, const std::string& image,
                           std::initializer_list<std::string> keys) {
  auto text = fmt::format("  {}:\n    image: {}\n", name, image);
  for (const auto& key : keys) text += fmt::format("    {}\n", key);
  return text;
}
/// The service "web" in a version, which is the tag and the seed of its image.
inline std::string web(std::string_view version, std::initializer_list<std::string> keys) {
  return service("web", pinned("web", version, version), keys);
}

/// The document; `services` may be followed by what else belongs on its top level.
inline std::string shop_of(const std::string& services) {
  return "apiVersion: holdfast/v1\nname: shop\nservices:\n" + services;
}

}  // namespace holdfast::test
