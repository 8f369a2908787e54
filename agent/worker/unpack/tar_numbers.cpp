#include "agent/worker/unpack/tar_numbers.hpp"

#include <fmt/format.h>

#include <limits>
#include <string>

#include "agent/worker/unpack/tar_errors.hpp"
#include "common/base/text.hpp"

namespace holdfast::agent::worker::unpack {
namespace {

Error bad_number(std::string_view name) {
  return Error{Errc::layer_corrupt, fmt::format("tar header field {} is not a number", name)};
}

Result<std::int64_t> base256(std::span<const std::byte> field, std::string_view name) {
  const bool negative = (field[0] & std::byte{0x40}) != std::byte{0};
  // The sign is extended from bit 6 of the first byte; bit 7 only marks the format.
  std::uint64_t value = negative ? ~std::uint64_t{0} : 0;
  for (std::size_t i = 0; i < field.size(); ++i) {
    auto byte = static_cast<std::uint64_t>(field[i]);
    if (i == 0) byte = negative ? (byte | 0x80U) : (byte & 0x7FU);
    const auto top = value >> 55U;
    if (top != (negative ? 0x1FFU : 0U)) return bad_number(name);
    value = (value << 8U) | byte;
  }
  return static_cast<std::int64_t>(value);
}

}  // namespace

Result<std::int64_t> header_number(std::span<const std::byte> field, std::string_view name) {
  if (!field.empty() && (field[0] & std::byte{0x80}) != std::byte{0}) return base256(field, name);
  std::string_view text{reinterpret_cast<const char*>(field.data()), field.size()};
  if (text.find_first_not_of(std::string_view{" \0", 2}) == std::string_view::npos)
    return std::int64_t{0};
  text.remove_prefix(text.find_first_not_of(' '));
  if (text.starts_with('\0')) return ambiguous(fmt::format("the header field {}", name));
  text = text.substr(0, text.find_first_of(std::string_view{" \0", 2}));
  std::int64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '7') return bad_number(name);
    if (value > (std::numeric_limits<std::int64_t>::max() >> 3)) return bad_number(name);
    value = value * 8 + (c - '0');
  }
  return value;
}

Result<std::uint64_t> decimal(std::string_view text, std::string_view name) {
  auto value = parse_number(text);
  if (!value)
    return Error{Errc::layer_corrupt, fmt::format("extended header {} is not a number", name)};
  return *value;
}

Result<timespec> pax_time(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  const auto dot = text.find('.');
  HF_ASSIGN(const std::uint64_t seconds, decimal(text.substr(0, dot), "mtime"));
  if (seconds > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max() / 2))
    return bad_number("mtime");
  std::string fraction{dot == std::string_view::npos ? std::string_view{} : text.substr(dot + 1)};
  for (const char c : fraction) {
    if (c < '0' || c > '9') return bad_number("mtime");
  }
  fraction.resize(9, '0');
  HF_ASSIGN(const std::uint64_t nanoseconds, decimal(fraction, "mtime"));
  timespec time{static_cast<time_t>(seconds), static_cast<long>(nanoseconds)};
  if (!negative) return time;
  time.tv_sec = -time.tv_sec;
  if (time.tv_nsec != 0) {
    time.tv_sec -= 1;
    time.tv_nsec = 1'000'000'000 - time.tv_nsec;
  }
  return time;
}

Result<std::string> base64_decoded(std::string_view text) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string out;
  std::uint32_t bits = 0;
  int have = 0;
  for (const char c : text) {
    const auto value = kAlphabet.find(c);
    if (value == std::string_view::npos) return bad_number("base64 value");
    bits = (bits << 6U) | static_cast<std::uint32_t>(value);
    have += 6;
    if (have < 8) continue;
    have -= 8;
    out.push_back(static_cast<char>((bits >> static_cast<unsigned>(have)) & 0xFFU));
  }
  return out;
}

}  // namespace holdfast::agent::worker::unpack
