#pragma once
/// \file
/// HTTP/1.1 as it is sent. Pure; thread safe. Values must not hold line ends: they come from
/// constants, numbers and `url::encode`.

#include <initializer_list>
#include <string>
#include <string_view>

namespace holdfast::http {

/// A field of a head; with an empty value it is left out.
struct Field {
  std::string_view name;
  std::string_view value;
};

/// "Not Found" of 404, by Beast's table.
[[nodiscard]] std::string_view reason(unsigned status);

/// "GET /v1/status HTTP/1.1", the fields, and the empty line.
[[nodiscard]] std::string request_head(std::string_view method, std::string_view target,
                                       std::initializer_list<Field> fields);
/// "HTTP/1.1 404 Not Found", the fields, and the empty line.
[[nodiscard]] std::string response_head(unsigned status, std::initializer_list<Field> fields);

/// One chunk of a body (RFC 9112, 7.1); an empty piece ends it.
[[nodiscard]] std::string chunk(std::string_view piece);

}  // namespace holdfast::http
