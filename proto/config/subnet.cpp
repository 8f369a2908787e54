#include <fmt/format.h>

#include "common/base/text.hpp"
#include "proto/config/agent_config.hpp"
#include "proto/deployment/rules.hpp"
#include "proto/yaml/scalars.hpp"

namespace holdfast::proto {
namespace {

std::string dotted(std::uint32_t address) {
  return fmt::format("{}.{}.{}.{}", address >> 24, (address >> 16) & 255, (address >> 8) & 255,
                     address & 255);
}

std::uint32_t mask_of(int prefix) { return prefix == 0 ? 0U : ~std::uint32_t{0} << (32 - prefix); }

}  // namespace

Result<Subnet> Subnet::parse(std::string_view text) {
  const auto slash = text.find('/');
  const auto address = rules::parse_ipv4(text.substr(0, slash));
  const auto prefix =
      slash == std::string_view::npos ? std::nullopt : yaml::parse_integer(text.substr(slash + 1));
  if (!address || !prefix || *prefix > 32) {
    return Error{Errc::usage, fmt::format("\"{}\" is not an IPv4 network", yaml::shown(text))}.hint(
        "write an address and a prefix length, such as 10.89.0.0/16");
  }
  const Subnet subnet{*address, static_cast<int>(*prefix)};
  if ((subnet.address & ~mask_of(subnet.prefix)) != 0) {
    return Error{Errc::usage, fmt::format("\"{}\" has address bits behind the prefix", text)}.hint(
        fmt::format("write {}/{}", dotted(subnet.address & mask_of(subnet.prefix)), subnet.prefix));
  }
  return subnet;
}

std::string Subnet::str() const { return fmt::format("{}/{}", dotted(address), prefix); }

}  // namespace holdfast::proto
