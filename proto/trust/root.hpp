#pragma once
/// \file
/// The root of trust: which keys, and how many of them, speak for a deployment, and who may change
/// that.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "proto/trust/public_key.hpp"

namespace holdfast::proto::trust {

inline constexpr std::size_t kMostKeys = 32;              ///< of a role
inline constexpr std::size_t kMostRootBytes = 64U << 10;  ///< of the payload
inline constexpr std::uint64_t kMostRootVersion = 1ULL << 31;

/// Whose signatures count, and how many different keys it takes.
struct RoleKeys {
  std::vector<PublicKey> keys;  ///< 1 to kMostKeys, all different
  std::uint32_t threshold = 1;  ///< 1 to the number of keys
  bool operator==(const RoleKeys&) const = default;
};

struct Root {
  std::string deployment;     ///< name of the deployment that these keys speak for
  std::uint64_t version = 1;  ///< grows by one with each change
  WallTime expires{};         ///< then nothing new is accepted until there is a newer version
  RoleKeys root;              ///< signs the next version of this
  RoleKeys signers;           ///< signs deployments
  bool operator==(const Root&) const = default;
};

/// Reads the payload of an envelope of kRootType:
/// {"deployment": "shop", "version": 1, "expires": "2027-…Z",
///  "roles": {"root": {"threshold": 1, "keys": ["-----BEGIN PUBLIC KEY-----…"]},
///            "deployment": {…}}}
/// Strict: these members, each once. Errors: too_large, spec_parse.
[[nodiscard]] Result<Root> read_root(std::string_view payload);
/// `read_root` gives it back, of a root that keeps the bounds above.
[[nodiscard]] std::string write_root(const Root& root);

}  // namespace holdfast::proto::trust
