#include "deploy/network/nft/nft_table.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/set.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <functional>
#include <memory>
#include <set>

#include "common/base/clock.hpp"
#include "common/crypto/sha256.hpp"
#include "common/os/process.hpp"

namespace holdfast::deploy::network {
namespace {

constexpr std::size_t kMessageBuffer = 64U << 10;
constexpr std::size_t kElementsPerMessage =
    256;  // ≤ 100 bytes each: well below the 64 KiB of a netlink attribute

template <auto Free>
struct Freer {
  void operator()(auto* object) const { Free(object); }
};
using SetPtr = std::unique_ptr<nftnl_set, Freer<nftnl_set_free>>;
using ChainPtr = std::unique_ptr<nftnl_chain, Freer<nftnl_chain_free>>;

/// Several netlink messages one after the other.
class Messages {
 public:
  template <class Fill>
  void add(Fill&& fill) {
    fill(scratch_.data());
    last_ = text_.size();
    text_.append(scratch_.data(), reinterpret_cast<const nlmsghdr*>(scratch_.data())->nlmsg_len);
  }
  /// Asks for an acknowledgement of the message added last, and returns its number; 0 when there is
  /// none.
  std::uint32_t acknowledge_last() {
    if (text_.empty()) return 0;
    nlmsghdr header{};
    std::memcpy(&header, text_.data() + last_, sizeof header);
    header.nlmsg_flags = static_cast<std::uint16_t>(header.nlmsg_flags | NLM_F_ACK);
    std::memcpy(text_.data() + last_, &header, sizeof header);
    return header.nlmsg_seq;
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::vector<char> scratch_ = std::vector<char>(kMessageBuffer);
  std::string text_;
  std::size_t last_ = 0;  ///< where the message added last begins
};

SetPtr make_set(const std::string& table, std::string_view name) {
  SetPtr set{nftnl_set_alloc()};
  nftnl_set_set_str(set.get(), NFTNL_SET_TABLE, table.c_str());
  nftnl_set_set_str(set.get(), NFTNL_SET_NAME, std::string{name}.c_str());
  return set;
}

enum class Change { erase, insert };

/// Appends messages that erase or insert these elements.
void append_elements(Messages& batch, Netlink& netlink, const std::string& table, std::size_t which,
                     Change change, const std::vector<const NftElements::value_type*>& elements) {
  for (std::size_t from = 0; from < elements.size(); from += kElementsPerMessage) {
    const auto set = make_set(table, kNftSetNames[which]);
    for (std::size_t i = from; i < std::min(elements.size(), from + kElementsPerMessage); ++i) {
      const auto& [key, data] = *elements[i];
      auto* element = nftnl_set_elem_alloc();
      nftnl_set_elem_set(element, NFTNL_SET_ELEM_KEY, key.data(),
                         static_cast<std::uint32_t>(key.size()));
      if (change == Change::insert && !data.empty())
        nftnl_set_elem_set(element, NFTNL_SET_ELEM_DATA, data.data(),
                           static_cast<std::uint32_t>(data.size()));
      nftnl_set_elem_add(set.get(), element);
    }
    batch.add([&](char* buffer) {
      const std::uint16_t type = change == Change::insert ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM;
      const std::uint16_t flags = change == Change::insert ? NLM_F_CREATE | NLM_F_EXCL : 0;
      auto* header =
          nftnl_nlmsg_build_hdr(buffer, type, NFPROTO_IPV4, flags, netlink.next_sequence());
      nftnl_set_elems_nlmsg_build_payload(header, set.get());
    });
  }
}

/// A message without libnftnl: family, type, and one or two string attributes.
std::string simple_request(
    std::uint8_t family, std::uint16_t type, std::uint16_t flags, std::uint32_t sequence,
    const std::vector<std::pair<std::uint16_t, std::string>>& attributes = {}) {
  std::array<char, 1024> buffer{};
  auto* header = nftnl_nlmsg_build_hdr(buffer.data(), type, family, flags, sequence);
  for (const auto& [attribute, text] : attributes)
    mnl_attr_put_strz(header, attribute, text.c_str());
  return {buffer.data(), header->nlmsg_len};
}

/// Calls `see` with type and bytes of every attribute of an nf_tables message.
void for_each_attribute(const nlmsghdr& header,
                        const std::function<void(std::uint16_t, std::string_view)>& see) {
  const auto forward = [](const nlattr* attribute, void* function) {
    (*static_cast<const std::function<void(std::uint16_t, std::string_view)>*>(function))(
        mnl_attr_get_type(attribute), {static_cast<const char*>(mnl_attr_get_payload(attribute)),
                                       mnl_attr_get_payload_len(attribute)});
    return MNL_CB_OK;
  };
  mnl_attr_parse(&header, sizeof(nfgenmsg), forward,
                 const_cast<std::function<void(std::uint16_t, std::string_view)>*>(&see));
}

bool is_kind(const nlmsghdr& header, std::uint16_t type) {
  return header.nlmsg_type == ((NFNL_SUBSYS_NFTABLES << 8) | type);
}

std::string text_or_empty(const char* text) {
  return text == nullptr ? std::string{} : std::string{text};
}

}  // namespace

Result<NftTable> NftTable::open(std::string table) {
  auto netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return std::move(netlink).error().in("reach nf_tables");
  return NftTable{std::move(*netlink), std::move(table)};
}

/// Of a length of its own, so that two agents do not stay in step.
void NftTable::pause() {
  os::sleep_until(SystemClock{}.boot() + std::chrono::microseconds{500 + getpid() % 500}, {});
}

Result<std::uint32_t> NftTable::generation() {
  const auto sequence = netlink_.next_sequence();
  std::uint32_t generation = 0;
  HF_TRY(netlink_.exchange(
      simple_request(NFPROTO_UNSPEC, NFT_MSG_GETGEN, NLM_F_ACK, sequence), sequence,
      "read the number of the nft ruleset", [&](const nlmsghdr& header) -> Status {
        for_each_attribute(header, [&](std::uint16_t type, std::string_view bytes) {
          std::uint32_t value = 0;
          if (type != NFTA_GEN_ID || bytes.size() != sizeof value) return;
          std::memcpy(&value, bytes.data(), sizeof value);
          generation = ntohl(value);
        });
        return ok();
      }));
  return generation;
}

Status NftTable::for_each_chain(std::uint8_t family,
                                const std::function<void(const nftnl_chain*)>& see) {
  const auto sequence = netlink_.next_sequence();
  return netlink_.exchange(
      simple_request(family, NFT_MSG_GETCHAIN, NLM_F_DUMP, sequence), sequence,
      "read the nft chains", [&](const nlmsghdr& header) -> Status {
        const ChainPtr chain{nftnl_chain_alloc()};
        if (is_kind(header, NFT_MSG_NEWCHAIN) && nftnl_chain_nlmsg_parse(&header, chain.get()) >= 0)
          see(chain.get());
        return ok();
      });
}

Result<std::map<std::string, bool>> NftTable::chains() {
  std::map<std::string, bool> chains;
  HF_TRY(for_each_chain(NFPROTO_IPV4, [&](const nftnl_chain* chain) {
    if (table_ == text_or_empty(nftnl_chain_get_str(chain, NFTNL_CHAIN_TABLE)))
      chains[text_or_empty(nftnl_chain_get_str(chain, NFTNL_CHAIN_NAME))] =
          nftnl_chain_is_set(chain, NFTNL_CHAIN_HOOKNUM);
  }));
  return chains;
}

Result<std::string> NftTable::rules_digest() {
  crypto::Sha256 hash;
  std::size_t chains = 0;
  HF_TRY(for_each_chain(NFPROTO_IPV4, [&](const nftnl_chain* chain) {
    if (table_ != text_or_empty(nftnl_chain_get_str(chain, NFTNL_CHAIN_TABLE))) return;
    ++chains;
    hash.update(fmt::format("chain {} {} {} {} {} {}\n",
                            nftnl_chain_get_str(chain, NFTNL_CHAIN_NAME),
                            text_or_empty(nftnl_chain_get_str(chain, NFTNL_CHAIN_TYPE)),
                            nftnl_chain_is_set(chain, NFTNL_CHAIN_HOOKNUM),
                            nftnl_chain_get_u32(chain, NFTNL_CHAIN_HOOKNUM),
                            nftnl_chain_get_s32(chain, NFTNL_CHAIN_PRIO),
                            nftnl_chain_get_u32(chain, NFTNL_CHAIN_POLICY)));
  }));
  if (chains == 0) return Error{Errc::not_found, fmt::format("there is no nft table {}", table_)};
  const auto sequence = netlink_.next_sequence();
  HF_TRY(netlink_.exchange(simple_request(NFPROTO_IPV4, NFT_MSG_GETRULE, NLM_F_DUMP, sequence,
                                          {{NFTA_RULE_TABLE, table_}}),
                           sequence, "read the nft rules", [&](const nlmsghdr& header) -> Status {
                             for_each_attribute(
                                 header, [&](std::uint16_t type, std::string_view bytes) {
                                   if (type == NFTA_RULE_CHAIN || type == NFTA_RULE_EXPRESSIONS)
                                     hash.update(bytes);
                                 });
                             return ok();
                           }));
  return hash.finish_hex();
}

Result<NftElements> NftTable::elements_of(std::string_view set) {
  NftElements elements;
  const auto request = make_set(table_, set);
  const auto sequence = netlink_.next_sequence();
  Messages message;
  message.add([&](char* buffer) {
    auto* header =
        nftnl_nlmsg_build_hdr(buffer, NFT_MSG_GETSETELEM, NFPROTO_IPV4, NLM_F_DUMP, sequence);
    nftnl_set_elems_nlmsg_build_payload(header, request.get());
  });
  const auto bytes = [](nftnl_set_elem* element, std::uint16_t attribute) {
    std::uint32_t size = 0;
    const void* data = nftnl_set_elem_get(element, attribute, &size);
    return data == nullptr ? std::string{} : std::string{static_cast<const char*>(data), size};
  };
  HF_TRY(netlink_.exchange(
      message.text(), sequence, fmt::format("read set {} of nft table {}", set, table_),
      [&](const nlmsghdr& header) -> Status {
        const SetPtr part{nftnl_set_alloc()};
        if (!is_kind(header, NFT_MSG_NEWSETELEM) ||
            nftnl_set_elems_nlmsg_parse(&header, part.get()) < 0)
          return ok();
        const std::unique_ptr<nftnl_set_elems_iter, Freer<nftnl_set_elems_iter_destroy>> each{
            nftnl_set_elems_iter_create(part.get())};
        while (auto* element = nftnl_set_elems_iter_next(each.get())) {
          const bool ends = nftnl_set_elem_is_set(element, NFTNL_SET_ELEM_FLAGS) &&
                            (nftnl_set_elem_get_u32(element, NFTNL_SET_ELEM_FLAGS) &
                             NFT_SET_ELEM_INTERVAL_END) != 0;
          if (!ends)
            elements[bytes(element, NFTNL_SET_ELEM_KEY)] = bytes(element, NFTNL_SET_ELEM_DATA);
        }
        return ok();
      }));
  return elements;
}

Result<NftSets> NftTable::elements() {
  NftSets sets;
  for (std::size_t i = 0; i < kNftSetCount; ++i) {
    HF_ASSIGN(sets[i], elements_of(kNftSetNames[i]));
  }
  return sets;
}

Status NftTable::change(const NftSets& from, const NftSets& to) {
  Messages batch;
  batch.add([&](char* buffer) { nftnl_batch_begin(buffer, netlink_.next_sequence()); });
  const std::size_t begun = batch.text().size();
  for (std::size_t i = 0; i < kNftSetCount; ++i) {
    std::vector<const NftElements::value_type*> erased;
    std::vector<const NftElements::value_type*> inserted;
    for (const auto& element : from[i]) {
      const auto found = to[i].find(element.first);
      if (found == to[i].end() || found->second != element.second) erased.push_back(&element);
    }
    for (const auto& element : to[i]) {
      const auto found = from[i].find(element.first);
      if (found == from[i].end() || found->second != element.second) inserted.push_back(&element);
    }
    append_elements(batch, netlink_, table_, i, Change::erase, erased);
    append_elements(batch, netlink_, table_, i, Change::insert, inserted);
  }
  if (batch.text().size() == begun) return ok();
  const auto last = batch.acknowledge_last();
  batch.add([&](char* buffer) { nftnl_batch_end(buffer, netlink_.next_sequence()); });
  return netlink_.exchange(batch.text(), last, fmt::format("change nft table {}", table_));
}

Result<std::vector<BaseChain>> NftTable::base_chains() {
  std::vector<BaseChain> chains;
  for (const auto& [family, name] :
       {std::pair{NFPROTO_IPV4, "ip"}, std::pair{NFPROTO_INET, "inet"}}) {
    HF_TRY(for_each_chain(
        static_cast<std::uint8_t>(family), [&, family_name = name](const nftnl_chain* chain) {
          if (!nftnl_chain_is_set(chain, NFTNL_CHAIN_HOOKNUM)) return;
          chains.push_back(
              {.family = family_name,
               .table = text_or_empty(nftnl_chain_get_str(chain, NFTNL_CHAIN_TABLE)),
               .name = text_or_empty(nftnl_chain_get_str(chain, NFTNL_CHAIN_NAME)),
               .forwards = nftnl_chain_get_u32(chain, NFTNL_CHAIN_HOOKNUM) == NF_INET_FORWARD,
               .priority = nftnl_chain_get_s32(chain, NFTNL_CHAIN_PRIO),
               .drops = nftnl_chain_get_u32(chain, NFTNL_CHAIN_POLICY) == NF_DROP});
        }));
  }
  return chains;
}

Result<bool> NftTable::rules_hold(const std::string& table, const std::string& chain,
                                  std::string_view bytes) {
  // Without this, a chain that is not there would look like an empty one.
  auto sequence = netlink_.next_sequence();
  HF_TRY(netlink_.exchange(simple_request(NFPROTO_IPV4, NFT_MSG_GETCHAIN, NLM_F_ACK, sequence,
                                          {{NFTA_CHAIN_TABLE, table}, {NFTA_CHAIN_NAME, chain}}),
                           sequence, fmt::format("read nft chain {} {}", table, chain)));
  bool found = false;
  sequence = netlink_.next_sequence();
  HF_TRY(netlink_.exchange(
      simple_request(NFPROTO_IPV4, NFT_MSG_GETRULE, NLM_F_DUMP, sequence,
                     {{NFTA_RULE_TABLE, table}, {NFTA_RULE_CHAIN, chain}}),
      sequence, fmt::format("read the rules of nft chain {} {}", table, chain),
      [&](const nlmsghdr& header) -> Status {
        const std::string_view all{reinterpret_cast<const char*>(&header), header.nlmsg_len};
        found = found || all.find(bytes) != std::string_view::npos;
        return ok();
      }));
  return found;
}

}  // namespace holdfast::deploy::network
