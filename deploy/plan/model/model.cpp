#include "deploy/plan/model/model.hpp"

#include <fmt/format.h>

namespace holdfast::deploy::plan {

InstanceId make_instance_id(const proto::ServiceName& service, const proto::Digest& run_hash,
                            std::uint64_t sequence) {
  constexpr std::size_t kServicePart = 40;
  std::string_view name = std::string_view{service.str()}.substr(0, kServicePart);
  return InstanceId{fmt::format("{}-{}-{}", name, run_hash.hex().substr(0, 8), sequence)};
}

std::string address_text(Address address) {
  return fmt::format("{}.{}.{}.{}", address >> 24, (address >> 16) & 255, (address >> 8) & 255,
                     address & 255);
}

std::string_view to_string(InstanceState state) {
  switch (state) {
    case InstanceState::creating:
      return "creating";
    case InstanceState::running:
      return "running";
    case InstanceState::frozen:
      return "frozen";
    case InstanceState::exited:
      return "exited";
    case InstanceState::unsupervised:
      return "unsupervised";
    case InstanceState::broken:
      return "broken";
  }
  return "unknown";
}

std::string to_string(const PortKey& key) {
  return fmt::format("{}:{}/{}", key.host_ip == 0 ? "*" : address_text(key.host_ip), key.port,
                     key.transport == proto::Transport::tcp ? "tcp" : "udp");
}

}  // namespace holdfast::deploy::plan
