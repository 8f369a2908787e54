#include "common/os/time_zone.hpp"

#include <fmt/format.h>

#include "common/os/file.hpp"

namespace holdfast::os {

Result<TimeZone> load_time_zone(std::string_view name) {
  if (name == "UTC") return TimeZone{};
  if (name.empty() || name.front() == '/' || name.find("..") != std::string_view::npos ||
      name.find('\0') != std::string_view::npos)
    return Error{Errc::usage, "not a name of a time zone"};
  constexpr std::size_t kMost = 1U << 20;
  const auto read = read_file(std::filesystem::path{"/usr/share/zoneinfo"} / name, kMost);
  if (!read)
    return Error{Errc::not_found, fmt::format("this host does not know the time zone {}", name)}
        .hint("check its name, or install the package tzdata");
  auto zone = TimeZone::parse(*read);
  if (!zone) return std::move(zone).error().in(fmt::format("time zone {}", name));
  return zone;
}

}  // namespace holdfast::os
