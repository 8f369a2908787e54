#pragma once
#include <cstdint>
#include <string>

namespace holdfast::agent::cli {

enum class Output : std::uint8_t { table, json };

struct Globals {
  std::string socket;
  Output output = Output::table;
  bool no_color = false;
  bool quiet = false;
};

}  // namespace holdfast::agent::cli
