#include "deploy/plan/model/service_addresses.hpp"

namespace holdfast::deploy::plan {
namespace {

/// FNV-1a: only has to be the same on every run.
std::uint32_t spread(const std::string& name) {
  std::uint32_t hash = 2166136261U;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  return hash;
}

}  // namespace

std::map<proto::ServiceName, Address> service_addresses(
    const std::map<proto::ServiceName, Address>& previous,
    const std::set<proto::ServiceName>& wanted, const proto::Subnet& subnet) {
  const std::uint64_t size = 1ULL << (32 - subnet.prefix);
  std::map<proto::ServiceName, Address> given;
  std::set<Address> taken;
  for (const auto& name : wanted) {
    if (const auto old = previous.find(name); old != previous.end()) {
      given.emplace(name, old->second);
      taken.insert(old->second);
    }
  }
  if (size < 4) return given;
  const std::uint64_t usable = size - 2;
  for (const auto& name : wanted) {
    if (given.contains(name) || taken.size() >= usable) continue;
    std::uint64_t offset = spread(name.str()) % usable;
    while (taken.contains(subnet.address + 1 + static_cast<Address>(offset)))
      offset = (offset + 1) % usable;
    const auto address = subnet.address + 1 + static_cast<Address>(offset);
    given.emplace(name, address);
    taken.insert(address);
  }
  return given;
}

}  // namespace holdfast::deploy::plan
