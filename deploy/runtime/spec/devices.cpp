#include "deploy/runtime/spec/devices.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <utility>

#include "common/base/text.hpp"

namespace holdfast::deploy::runtime {
namespace {

Result<DeviceNode> find_device(const proto::DeviceMapping& wanted) {
  struct stat info {};
  if (::stat(wanted.source.c_str(), &info) != 0)
    return Error{Errc::host, fmt::format("device {} is not there", printable(wanted.source))}.hint(
        "plug it in or load its driver; see: ls -l /dev");
  if (!S_ISCHR(info.st_mode) && !S_ISBLK(info.st_mode))
    return Error{Errc::host, fmt::format("{} is not a device", printable(wanted.source))}.hint(
        "mount a directory or socket as a volume");
  // Whatever name leads there: /dev/mem, kmem and port are the host's memory (devices.txt: 1:1, 2,
  // 4).
  const bool memory =
      S_ISCHR(info.st_mode) && major(info.st_rdev) == 1 &&
      (minor(info.st_rdev) == 1 || minor(info.st_rdev) == 2 || minor(info.st_rdev) == 4);
  if (memory)
    return Error{Errc::host,
                 fmt::format("device {} is the memory of the host, which no service gets",
                             printable(wanted.source))}
        .hint("name another device");
  return DeviceNode{.path = wanted.target,
                    .type = S_ISCHR(info.st_mode) ? 'c' : 'b',
                    .major = major(info.st_rdev),
                    .minor = minor(info.st_rdev),
                    .mode = info.st_mode & 0777,
                    .uid = info.st_uid,
                    .gid = info.st_gid,
                    .access = wanted.access};
}

}  // namespace

Result<std::vector<DeviceNode>> find_devices(const std::vector<proto::DeviceMapping>& wanted) {
  std::vector<DeviceNode> nodes;
  for (const auto& each : wanted) {
    HF_ASSIGN(auto node, find_device(each));
    nodes.push_back(std::move(node));
  }
  return nodes;
}

}  // namespace holdfast::deploy::runtime
