#include "deploy/trust/signatures.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

namespace holdfast::deploy::trust {
namespace {

using proto::trust::PublicKey;

/// Every signature with every key that may have made it: the one it names, or each where it names
/// none. A name is only a hint, so it can take a signature away from a key and never give it one.
std::vector<KeySignature> claims(const proto::trust::Envelope& envelope,
                                 const std::vector<PublicKey>& keys) {
  std::vector<KeySignature> claimed;
  for (const auto& signature : envelope.signatures) {
    for (const auto& key : keys) {
      if (signature.key_id.empty() || signature.key_id == key.id())
        claimed.push_back({key, signature.bytes});
    }
  }
  return claimed;
}

bool contains(const std::vector<PublicKey>& keys, const PublicKey& key) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

}  // namespace

Result<std::vector<PublicKey>> good_keys(const proto::trust::Envelope& envelope,
                                         const std::vector<PublicKey>& keys,
                                         const CheckSignatures& check) {
  const auto claimed = claims(envelope, keys);
  std::vector<PublicKey> good;
  if (claimed.empty()) return good;
  HF_ASSIGN(const auto valid,
            check(proto::trust::pae(envelope.payload_type, envelope.payload), claimed));
  if (valid.size() != claimed.size())
    return Error{Errc::internal, "not every signature was answered for"};
  for (std::size_t i = 0; i < claimed.size(); ++i) {
    if (valid[i] && !contains(good, claimed[i].key)) good.push_back(claimed[i].key);
  }
  return good;
}

Status meets_threshold(const proto::trust::RoleKeys& role, const std::vector<PublicKey>& good,
                       std::string_view what) {
  const auto signers = std::count_if(role.keys.begin(), role.keys.end(),
                                     [&](const PublicKey& key) { return contains(good, key); });
  if (static_cast<std::uint64_t>(signers) >= role.threshold) return ok();
  return Error{Errc::spec_threshold,
               fmt::format("{} has {} good signature{} of the {} that it takes", what, signers,
                           signers == 1 ? "" : "s", role.threshold)}
      .hint("sign it with the keys that the root of trust names: holdfast verify says which");
}

}  // namespace holdfast::deploy::trust
