#include "common/url/url.hpp"

#include <fmt/format.h>

#include <boost/url/encode.hpp>
#include <boost/url/grammar/lut_chars.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/pct_string_view.hpp>
#include <boost/url/rfc/unreserved_chars.hpp>
#include <boost/url/url_view.hpp>

#include "common/base/text.hpp"

namespace holdfast::url {
namespace {

namespace urls = boost::urls;

struct Printable {
  constexpr bool operator()(char c) const noexcept { return c > 0x20 && c < 0x7F && c != '%'; }
};
constexpr urls::grammar::lut_chars kPrintable{Printable{}};

/// Boost.URL has no set with '%' in it: what is between them is encoded.
std::string encode_between_percents(std::string_view text, urls::encoding_opts options) {
  std::string out;
  for (const auto piece : split(text, '%')) {
    if (piece.data() != text.data()) out += '%';
    out += urls::encode(piece, kPrintable, options);
  }
  return out;
}

}  // namespace

std::string encode(std::string_view text, Plain plain, Digits digits) {
  urls::encoding_opts options;
  options.lower_case = digits == Digits::lower;
  switch (plain) {
    case Plain::unreserved:
      return urls::encode(text, urls::unreserved_chars, options);
    case Plain::printable:
      return encode_between_percents(text, options);
    case Plain::printable_but_percent:
      break;
  }
  return urls::encode(text, kPrintable, options);
}

Result<std::string> decode(std::string_view text, Plus plus) {
  urls::encoding_opts options;
  options.space_as_plus = plus == Plus::blank;
  const auto encoded = urls::make_pct_string_view(text);
  std::string out = encoded ? encoded->decode(options) : std::string{};
  if (!encoded || out.find('\0') != std::string::npos)
    return Error{Errc::usage, fmt::format("bad percent encoding in \"{}\"", printable(text))};
  return out;
}

std::string decode_leniently(std::string_view text) {
  constexpr std::size_t kEscape = 3;  // "%2F"
  std::string out;
  while (!text.empty()) {
    const auto plain = text.substr(0, text.find('%'));
    out += plain;
    text.remove_prefix(plain.size());
    if (text.empty()) break;
    const auto head = text.substr(0, kEscape);
    const auto escape = urls::make_pct_string_view(head);
    out += escape ? escape->decode() : std::string{head.substr(0, 1)};
    text.remove_prefix(escape ? kEscape : 1);
  }
  return out;
}

std::optional<Parts> parts_of(std::string_view url) {
  const auto parsed = urls::parse_uri(url);
  if (!parsed || parsed->encoded_host().empty()) return std::nullopt;
  const auto text = [](auto view) { return std::string{view.data(), view.size()}; };
  // Boost 1.81 takes "http://a:port" for port "" and path "port", and a port of any size.
  const auto path = text(parsed->encoded_path());
  const auto port = parse_number(text(parsed->port()));
  if (!path.empty() && path.front() != '/') return std::nullopt;
  if (!parsed->port().empty() && (!port || *port > 65535)) return std::nullopt;
  return Parts{.scheme = text(parsed->scheme()),
               .authority = text(parsed->encoded_host_and_port()),
               .host = parsed->host_address(),
               .path = path,
               .has_user = parsed->has_userinfo(),
               .has_query_or_fragment = parsed->has_query() || parsed->has_fragment()};
}

}  // namespace holdfast::url
