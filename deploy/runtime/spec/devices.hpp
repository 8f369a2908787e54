#pragma once
/// \file
/// Devices of the host that a service is given.

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "proto/deployment/deployment.hpp"

namespace holdfast::deploy::runtime {

/// A node of the container's /dev, as the host has it: type, numbers, mode and owner.
struct DeviceNode {
  std::string path;  ///< in the container
  char type = 'c';   ///< 'c' or 'b'
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  mode_t mode = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::string access = "rw";  ///< what the control group allows
  bool operator==(const DeviceNode&) const = default;
};

/// Looks each up, through symlinks such as those of /dev/serial/by-id. Waits for nothing. Errors:
/// host, naming the device, when it is not there or is none.
[[nodiscard]] Result<std::vector<DeviceNode>> find_devices(
    const std::vector<proto::DeviceMapping>& wanted);

}  // namespace holdfast::deploy::runtime
