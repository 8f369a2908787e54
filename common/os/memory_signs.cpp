#include "common/os/memory_signs.hpp"

#include <charconv>
#include <string>

#include "common/base/text.hpp"
#include "common/os/file.hpp"

namespace holdfast::os {
namespace {

/// Path of the process in the unified hierarchy ("0::/…"); empty when there is none.
std::string own_cgroup(const std::filesystem::path& proc) {
  const auto text = read_file(proc / "self/cgroup");
  if (!text) return {};
  for (const auto line : split(*text, '\n')) {
    if (line.starts_with("0::/")) return std::string{line.substr(4)};
  }
  return {};
}

std::optional<double> pressure_of(const std::filesystem::path& file) {
  const auto text = read_file(file);
  return text ? parse_pressure(*text) : std::nullopt;
}

}  // namespace

std::optional<double> parse_pressure(std::string_view text) {
  constexpr std::string_view kStart = "some avg10=";
  for (const auto line : split(text, '\n')) {
    if (!line.starts_with(kStart)) continue;
    const auto number = line.substr(kStart.size());
    double value = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
    if (error == std::errc{} && value >= 0 && value <= 100) return value;
  }
  return std::nullopt;
}

std::optional<Bytes> parse_available(std::string_view text) {
  constexpr std::string_view kStart = "MemAvailable:";
  for (const auto line : split(text, '\n')) {
    if (!line.starts_with(kStart)) continue;
    const auto words = trim(line.substr(kStart.size()));
    const auto number = parse_number(words.substr(0, words.find(' ')));
    if (number && *number < (1ULL << 50U)) return Bytes{*number * 1024};
  }
  return std::nullopt;
}

MemorySigns read_memory_signs(const MemorySources& from) {
  MemorySigns signs;
  if (const auto group = own_cgroup(from.proc); !group.empty())
    signs.pressure = pressure_of(from.cgroup / group / "memory.pressure");
  if (!signs.pressure) signs.pressure = pressure_of(from.proc / "pressure/memory");
  if (const auto text = read_file(from.proc / "meminfo")) signs.available = parse_available(*text);
  return signs;
}

}  // namespace holdfast::os
