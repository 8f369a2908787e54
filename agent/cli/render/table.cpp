#include "agent/cli/render/table.hpp"

#include <algorithm>

#include "common/base/text.hpp"

namespace holdfast::agent::cli {
namespace {

constexpr std::size_t kGap = 2;

std::string padded(const Cell& cell, const Column& column, std::size_t width, const Look& look) {
  const std::string fill(width - std::min(width, display_width(cell.text)), ' ');
  const auto text = paint(cell.text, cell.tone, look);
  return column.align == Align::right ? fill + text : text + fill;
}

void trim_right(std::string& line) {
  while (!line.empty() && line.back() == ' ') line.pop_back();
}

}  // namespace

void Table::add(std::vector<Cell> row) {
  row.resize(columns_.size());
  for (auto& cell : row) cell.text = printable(cell.text);
  rows_.push_back(std::move(row));
}

std::vector<std::size_t> Table::widths() const {
  std::vector<std::size_t> widths;
  for (const auto& column : columns_) widths.push_back(display_width(column.title));
  for (const auto& row : rows_)
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], display_width(row[i].text));
  return widths;
}

std::string Table::render(const Look& look) const {
  const auto width = widths();
  std::size_t before_last = 0;
  for (std::size_t i = 0; i + 1 < width.size(); ++i) before_last += width[i] + kGap;
  const std::size_t room = look.width > before_last + 8 ? look.width - before_last : 8;

  std::string out;
  const auto line = [&](const std::vector<Cell>& row) {
    std::string text;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const bool last = i + 1 == row.size();
      Cell cell = row[i];
      if (last && look.terminal) cell.text = cut(cell.text, room, look);
      text += last && columns_[i].align == Align::left ? paint(cell.text, cell.tone, look)
                                                       : padded(cell, columns_[i], width[i], look);
      if (!last) text.append(kGap, ' ');
    }
    trim_right(text);
    out += text + "\n";
  };
  std::vector<Cell> header;
  for (const auto& column : columns_) header.push_back({column.title, Tone::dim});
  line(header);
  for (const auto& row : rows_) line(row);
  return out;
}

}  // namespace holdfast::agent::cli
