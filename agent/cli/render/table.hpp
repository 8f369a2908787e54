#pragma once
/// \file
/// Tables for people: upper-case headers, two spaces between columns, no lines.

#include <cstdint>
#include <string>
#include <vector>

#include "agent/cli/render/look.hpp"

namespace holdfast::agent::cli {

enum class Align : std::uint8_t { left, right };

struct Column {
  std::string title;
  Align align = Align::left;
};

struct Cell {
  std::string text;  ///< may come from outside: rendered through `printable`
  Tone tone = Tone::plain;
};

/// Rows under headers. The last column is cut to the terminal's width, and only on a terminal; a
/// pipe gets everything.
class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// Missing cells are empty; there must not be more cells than columns.
  void add(std::vector<Cell> row);
  [[nodiscard]] bool empty() const { return rows_.empty(); }
  /// The whole table, each line with its line end and no trailing blanks.
  [[nodiscard]] std::string render(const Look& look) const;

 private:
  [[nodiscard]] std::vector<std::size_t> widths() const;

  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace holdfast::agent::cli
