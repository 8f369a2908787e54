#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "deploy/network/kernel/netlink.hpp"
#include "deploy/network/nft/nft_elements.hpp"

struct nftnl_chain;

namespace holdfast::deploy::network {

/// A base chain of the host, of any table of families ip and inet.
struct BaseChain {
  std::string family;  ///< "ip", "inet"
  std::string table;
  std::string name;
  bool forwards = false;  ///< at the forward hook
  std::int32_t priority = 0;
  bool drops = false;  ///< policy drop
};

/// nf_tables by netlink, as far as the agent needs it; the rules themselves are loaded by the `nft`
/// program. Not thread safe; belongs to the network namespace of the thread that opened it. Every
/// call is one exchange with the kernel a set.
class NftTable {
 public:
  [[nodiscard]] static Result<NftTable> open(std::string table);

  /// Number of the ruleset of this network namespace: every change by anybody gives another.
  /// Microseconds.
  [[nodiscard]] Result<std::uint32_t> generation();

  /// What `read` tells, read again while others change tables of their own meanwhile, as what the
  /// kernel hands out in pieces is not whole then; 30 times, 15 to 30 ms, at most.
  template <class Read>
  [[nodiscard]] auto undisturbed(Read read) -> decltype(read()) {
    constexpr int kReads = 30;
    for (int left = kReads;; --left) {
      HF_ASSIGN(const auto before, generation());
      auto result = read();
      HF_ASSIGN(const auto after, generation());
      const bool busy = !result && result.error().code() == Errc::busy;
      if ((before == after && !busy) || left == 1) return result;
      pause();
    }
  }

  /// Digest of the chains and rules of the table, without their handles and elements. Errors:
  /// not_found when there is no table.
  [[nodiscard]] Result<std::string> rules_digest();

  /// Name of every chain of the table, and whether it is a base chain. Empty without a table.
  [[nodiscard]] Result<std::map<std::string, bool>> chains();

  /// Errors: not_found when a set is missing.
  [[nodiscard]] Result<NftSets> elements();
  /// Of one set, whatever it holds; of intervals, where they begin. Errors: not_found.
  [[nodiscard]] Result<NftElements> elements_of(std::string_view set);

  /// Turns `from` into `to` in one transaction. Errors: when the kernel does not hold `from`; then
  /// nothing has changed.
  [[nodiscard]] Status change(const NftSets& from, const NftSets& to);

  /// Base chains of every table of the host.
  [[nodiscard]] Result<std::vector<BaseChain>> base_chains();
  /// True when a rule of that chain holds these bytes, e.g. a comment. Errors: not_found when there
  /// is no such chain.
  [[nodiscard]] Result<bool> rules_hold(const std::string& table, const std::string& chain,
                                        std::string_view bytes);

 private:
  NftTable(Netlink netlink, std::string table)
      : netlink_(std::move(netlink)), table_(std::move(table)) {}
  static void pause();
  [[nodiscard]] Status for_each_chain(std::uint8_t family,
                                      const std::function<void(const nftnl_chain*)>& see);

  Netlink netlink_;
  std::string table_;
};

}  // namespace holdfast::deploy::network
