#include "agent/daemon/http.hpp"

#include <fmt/format.h>

#include "common/base/text.hpp"
#include "common/url/url.hpp"
#include "proto/api/codec.hpp"

namespace holdfast::agent::daemon {
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
  HF_ASSIGN(request.path, url::decode(path));
  if (mark == std::string_view::npos) return ok();
  for (const auto pair : split(target.substr(mark + 1), '&')) {
    if (pair.empty()) continue;
    const auto equals = pair.find('=');
    HF_ASSIGN(auto name, url::decode(pair.substr(0, equals), url::Plus::blank));
    const auto raw =
        equals == std::string_view::npos ? std::string_view{} : pair.substr(equals + 1);
    HF_ASSIGN(auto value, url::decode(raw, url::Plus::blank));
    if (!request.query.emplace(name, std::move(value)).second)
      return Error{Errc::usage, fmt::format("\"{}\" is given twice", printable(name))};
  }
  return ok();
}

}  // namespace holdfast::agent::daemon
