#include "common/http/text.hpp"

#include <fmt/format.h>

namespace holdfast::http {
namespace {

std::string head(std::string text, std::initializer_list<Field> fields) {
  for (const auto& field : fields) {
    if (!field.value.empty()) text += fmt::format("{}: {}\r\n", field.name, field.value);
  }
  return text + "\r\n";
}

}  // namespace

std::string request_head(std::string_view method, std::string_view target,
                         std::initializer_list<Field> fields) {
  return head(fmt::format("{} {} HTTP/1.1\r\n", method, target), fields);
}

std::string response_head(unsigned status, std::initializer_list<Field> fields) {
  return head(fmt::format("HTTP/1.1 {} {}\r\n", status, reason(status)), fields);
}

std::string chunk(std::string_view piece) {
  return fmt::format("{:x}\r\n{}\r\n", piece.size(), piece);
}

}  // namespace holdfast::http
