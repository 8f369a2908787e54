#pragma once
/// \file
/// The routing table as the raw elements of the nft sets that hold it. Pure.

#include <array>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>

#include "common/base/result.hpp"
#include "deploy/network/port/publisher.hpp"

namespace holdfast::deploy::network {

enum class NftSet : std::size_t {
  ports,      ///< host address . protocol . port → instance . port
  any_ports,  ///< protocol . port → instance . port
  services,   ///< virtual address → instance
  staged,     ///< source instance . virtual address → instance
};
inline constexpr std::size_t kNftSetCount = 4;
inline constexpr std::array<std::string_view, kNftSetCount> kNftSetNames{"ports", "any_ports",
                                                                         "services", "staged"};

/// Key bytes → data bytes, as netlink carries them: network byte order, each
/// part of a concatenation padded to four bytes.
using NftElements = std::map<std::string, std::string>;
using NftSets = std::array<NftElements, kNftSetCount>;

[[nodiscard]] NftSets to_sets(const RoutingTable& table);
/// Errors: not_found, when an element is malformed: somebody else made it.
[[nodiscard]] Result<RoutingTable> from_sets(const NftSets& sets);

}  // namespace holdfast::deploy::network
