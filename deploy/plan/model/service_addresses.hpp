#pragma once
#include <map>
#include <set>

#include "deploy/plan/model/model.hpp"
#include "proto/config/agent_config.hpp"

namespace holdfast::deploy::plan {

/// Gives each name a stable virtual address inside `subnet`: names keep what they had in
/// `previous`; new ones start at a place given by a hash of the name and take the next free
/// address. Names not wanted any more lose theirs. The network and broadcast address are never
/// given out; when the subnet is full the remaining names get none.
[[nodiscard]] std::map<proto::ServiceName, Address> service_addresses(
    const std::map<proto::ServiceName, Address>& previous,
    const std::set<proto::ServiceName>& wanted, const proto::Subnet& subnet);

}  // namespace holdfast::deploy::plan
