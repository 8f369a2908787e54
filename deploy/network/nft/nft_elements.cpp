#include "deploy/network/nft/nft_elements.hpp"

#include <fmt/format.h>
#include <netinet/in.h>

#include <cstdint>

namespace holdfast::deploy::network {
namespace {

std::string bytes_of(Address address) {
  return {static_cast<char>(address >> 24), static_cast<char>(address >> 16),
          static_cast<char>(address >> 8), static_cast<char>(address)};
}
std::string bytes_of(proto::Transport transport) {
  return {static_cast<char>(transport == proto::Transport::tcp ? IPPROTO_TCP : IPPROTO_UDP), 0, 0,
          0};
}
std::string bytes_of(std::uint16_t port) {
  return {static_cast<char>(port >> 8), static_cast<char>(port), 0, 0};
}
std::string bytes_of(const Endpoint& endpoint) {
  return bytes_of(endpoint.address) + bytes_of(endpoint.port);
}

std::uint32_t byte_at(std::string_view bytes, std::size_t at) {
  return static_cast<unsigned char>(bytes[at]);
}
Address address_at(std::string_view bytes, std::size_t at) {
  return byte_at(bytes, at) << 24 | byte_at(bytes, at + 1) << 16 | byte_at(bytes, at + 2) << 8 |
         byte_at(bytes, at + 3);
}
std::uint16_t port_at(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint16_t>(byte_at(bytes, at) << 8 | byte_at(bytes, at + 1));
}

NftElements& at(NftSets& sets, NftSet which) { return sets[static_cast<std::size_t>(which)]; }
const NftElements& at(const NftSets& sets, NftSet which) {
  return sets[static_cast<std::size_t>(which)];
}

struct Width {
  std::size_t key;
  std::size_t data;
};
constexpr std::array<Width, kNftSetCount> kWidths{{{12, 8}, {8, 8}, {4, 4}, {8, 4}}};

Status check_widths(const NftSets& sets) {
  for (std::size_t i = 0; i < kNftSetCount; ++i) {
    for (const auto& [key, data] : sets[i]) {
      if (key.size() == kWidths[i].key && data.size() == kWidths[i].data) continue;
      return Error{Errc::not_found,
                   fmt::format("set {} holds an element of another shape", kNftSetNames[i])};
    }
  }
  return ok();
}

Result<PortKey> port_key(Address host_ip, std::string_view bytes) {
  const auto protocol = byte_at(bytes, 0);
  if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)
    return Error{Errc::not_found, fmt::format("a published port has protocol {}", protocol)};
  return PortKey{host_ip, protocol == IPPROTO_TCP ? proto::Transport::tcp : proto::Transport::udp,
                 port_at(bytes, 4)};
}

}  // namespace

NftSets to_sets(const RoutingTable& table) {
  NftSets sets;
  for (const auto& [key, endpoint] : table.ports) {
    const std::string port = bytes_of(key.transport) + bytes_of(key.port);
    if (key.host_ip == 0) {
      at(sets, NftSet::any_ports)[port] = bytes_of(endpoint);
    } else {
      at(sets, NftSet::ports)[bytes_of(key.host_ip) + port] = bytes_of(endpoint);
    }
  }
  for (const auto& [address, instance] : table.services)
    at(sets, NftSet::services)[bytes_of(address)] = bytes_of(instance);
  for (const auto& [key, instance] : table.staged)
    at(sets, NftSet::staged)[bytes_of(key.first) + bytes_of(key.second)] = bytes_of(instance);
  return sets;
}

Result<RoutingTable> from_sets(const NftSets& sets) {
  HF_TRY(check_widths(sets));
  RoutingTable table;
  for (const auto& [key, data] : at(sets, NftSet::ports)) {
    HF_ASSIGN(const auto port, port_key(address_at(key, 0), std::string_view{key}.substr(4)));
    table.ports[port] = {address_at(data, 0), port_at(data, 4)};
  }
  for (const auto& [key, data] : at(sets, NftSet::any_ports)) {
    HF_ASSIGN(const auto port, port_key(0, key));
    table.ports[port] = {address_at(data, 0), port_at(data, 4)};
  }
  for (const auto& [key, data] : at(sets, NftSet::services))
    table.services[address_at(key, 0)] = address_at(data, 0);
  for (const auto& [key, data] : at(sets, NftSet::staged))
    table.staged[{address_at(key, 0), address_at(key, 4)}] = address_at(data, 0);
  return table;
}

}  // namespace holdfast::deploy::network
