#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "proto/trust/root.hpp"

namespace {

using holdfast::proto::trust::RoleKeys;

void check(const RoleKeys& role) {
  if (role.threshold == 0 || role.threshold > role.keys.size()) std::abort();
  auto keys = role.keys;
  std::sort(keys.begin(), keys.end());
  if (std::adjacent_find(keys.begin(), keys.end()) != keys.end()) std::abort();
}

}  // namespace

/// A root that is read can be met by its own keys, each once, and written again it reads the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast::proto::trust;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  if (const auto key = PublicKey::from_pem(text)) {
    if (PublicKey::from_pem(key->pem()).value() != *key) std::abort();
  }
  const auto root = read_root(text);
  if (!root) return 0;
  check(root->root);
  check(root->signers);
  const auto again = read_root(write_root(*root));
  if (!again || *again != *root) std::abort();
  return 0;
}
