#pragma once
/// \file
/// Texts with a unit or a type, as documents write them. Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/clock.hpp"
#include "common/base/strong.hpp"
#include "proto/yaml/tree.hpp"

namespace holdfast::proto::yaml {

/// What a YAML 1.1 or 1.2 reader would make of this plain text instead of a string: "a number", "a
/// boolean", "a time"; empty when it is a string for all of them (yaml.org/type; YAML 1.2 core
/// schema).
[[nodiscard]] std::string_view other_type(std::string_view plain);

/// "500ms", "10s", "1m30s", "2h": whole numbers, each unit at most once, larger units first; at
/// most 365 days.
[[nodiscard]] std::optional<Milliseconds> parse_duration(std::string_view text);

/// "256Mi", "256MiB", "64Ki", "1Gi", "2Ti" or plain bytes; at most 2^53.
[[nodiscard]] std::optional<Bytes> parse_size(std::string_view text);

/// "1.5" → 1500; at most three decimals.
[[nodiscard]] std::optional<std::uint32_t> parse_millis(std::string_view text);

/// Decimal digits only, no sign, no leading zero.
[[nodiscard]] std::optional<std::uint64_t> parse_integer(std::string_view text);

/// At most 80 characters of foreign text, printable.
[[nodiscard]] std::string shown(std::string_view text);

/// "a mapping", "the string \"x\"", "the number 5", "nothing": for messages about types.
[[nodiscard]] std::string describe(const Node& node);

/// A scalar as it is written, or what the node is: for messages about values.
[[nodiscard]] std::string value_text(const Node& node);

}  // namespace holdfast::proto::yaml
