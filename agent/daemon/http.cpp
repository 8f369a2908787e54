#include "agent/daemon/http.hpp"

#include <fmt/format.h>

#include "common/base/text.hpp"
#include "proto/api/codec.hpp"

namespace holdfast::agent::daemon {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

enum class Plus { as_is, blank };

Result<std::string> percent_decoded(std::string_view text, Plus plus) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus == Plus::blank) {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0 || high + low == 0)
        return Error{Errc::usage, fmt::format("bad percent encoding in \"{}\"", printable(text))};
      out += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  return out;
}

}  // namespace

unsigned http_status(Errc code) {
  switch (code) {
    case Errc::usage:
      return 400;
    case Errc::perm:
      return 403;
    case Errc::not_found:
      return 404;
    case Errc::conflict:
    case Errc::quarantined:
    case Errc::held:
      return 409;
    case Errc::too_large:
      return 413;
    case Errc::timed_out:
      return 504;
    case Errc::nospace:
      return 507;
    case Errc::internal:
      return 500;
    default:
      return disposition(code) == Disposition::reject ? 422 : 503;
  }
}

Response error_response(const Error& error) {
  Response response;
  response.status = http_status(error.code());
  response.body = proto::api::encode(
      proto::api::ErrorBody{std::string{code(error.code())}, error.what(), error.next_step()});
  return response;
}

Status parse_target(std::string_view target, Request& request) {
  const auto mark = target.find('?');
  const auto path = target.substr(0, mark);
  if (path.empty() || path.front() != '/')
    return Error{Errc::usage, fmt::format("\"{}\" is not a path", printable(target))};
  HF_ASSIGN(request.path, percent_decoded(path, Plus::as_is));
  if (mark == std::string_view::npos) return ok();
  for (const auto pair : split(target.substr(mark + 1), '&')) {
    if (pair.empty()) continue;
    const auto equals = pair.find('=');
    HF_ASSIGN(auto name, percent_decoded(pair.substr(0, equals), Plus::blank));
    const auto raw =
        equals == std::string_view::npos ? std::string_view{} : pair.substr(equals + 1);
    HF_ASSIGN(auto value, percent_decoded(raw, Plus::blank));
    if (!request.query.emplace(name, std::move(value)).second)
      return Error{Errc::usage, fmt::format("\"{}\" is given twice", printable(name))};
  }
  return ok();
}

}  // namespace holdfast::agent::daemon
