#include "proto/image_ref.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "common/base/text.hpp"

namespace holdfast::proto {
namespace {

// One forward pass over each part, no regular expressions (packaging/doc/security.md ): the
// cost is linear in the text.

constexpr std::size_t kMaxText = 1024;
constexpr std::size_t kMaxName = 255;  ///< of "host/repository"
constexpr std::size_t kMaxTag = 128;
constexpr std::size_t kMaxLabel = 63;
constexpr std::string_view kDefaultHost = "docker.io";

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_lower_alnum(char c) { return is_lower(c) || is_digit(c); }
bool is_alnum(char c) { return is_lower_alnum(c) || is_upper(c); }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

/// Why a part is wrong; nothing when it is right.
using Fault = std::optional<std::string>;

/// Length of the separator at `pos`: one '.', one or two '_', any number of '-'; 0 when there is
/// none.
std::size_t separator_length(std::string_view text, std::size_t pos) {
  if (text[pos] == '.') return 1;
  if (text[pos] == '_') return pos + 1 < text.size() && text[pos + 1] == '_' ? 2 : 1;
  std::size_t length = 0;
  while (pos + length < text.size() && text[pos + length] == '-') ++length;
  return length;
}

Fault check_component(std::string_view text) {
  if (text.empty()) return "a part of the name between slashes is empty";
  std::size_t pos = 0;
  while (true) {
    const auto start = pos;
    while (pos < text.size() && is_lower_alnum(text[pos])) ++pos;
    if (pos == start) break;
    if (pos == text.size()) return std::nullopt;
    const auto length = separator_length(text, pos);
    if (length == 0) break;
    pos += length;
  }
  if (std::any_of(text.begin(), text.end(), is_upper))
    return fmt::format("\"{}\" has upper-case letters; repository names are lower case",
                       printable(text));
  return fmt::format(
      "\"{}\" is not a repository name part (lower-case letters and digits, joined by one of "
      ". _ __ or dashes)",
      printable(text));
}

Fault check_repository(std::string_view text) {
  for (const auto component : split(text, '/')) {
    if (auto fault = check_component(component)) return fault;
  }
  if (text.size() == 64 && std::all_of(text.begin(), text.end(), is_hex))
    return "a name of 64 hex digits looks like an image identifier";
  return std::nullopt;
}

Fault check_port(std::string_view text) {
  const auto number = parse_number(text);
  if (text.empty() || text.size() > 5 || !number || *number < 1 || *number > 65535)
    return fmt::format("\"{}\" is not a port between 1 and 65535", printable(text));
  return std::nullopt;
}

Fault check_bracketed(std::string_view text) {
  const auto close = text.find(']');
  const auto address = text.substr(1, close == std::string_view::npos ? close : close - 1);
  const bool good =
      close != std::string_view::npos && address.find(':') != address.npos &&
      std::all_of(address.begin(), address.end(), [](char c) { return is_hex(c) || c == ':'; });
  if (!good) return fmt::format("\"{}\" is not an IPv6 address in brackets", printable(text));
  const auto rest = text.substr(close + 1);
  if (rest.empty()) return std::nullopt;
  if (rest.front() != ':') return fmt::format("\"{}\" is not a registry host", printable(text));
  return check_port(rest.substr(1));
}

Fault check_host(std::string_view text) {
  if (text.starts_with('[')) return check_bracketed(text);
  const auto colon = text.find(':');
  if (colon != std::string_view::npos) {
    if (auto fault = check_port(text.substr(colon + 1))) return fault;
  }
  for (const auto label : split(text.substr(0, colon), '.')) {
    const bool good =
        !label.empty() && label.size() <= kMaxLabel && label.front() != '-' &&
        label.back() != '-' &&
        std::all_of(label.begin(), label.end(), [](char c) { return is_alnum(c) || c == '-'; });
    if (!good) return fmt::format("\"{}\" is not a registry host", printable(text));
  }
  return std::nullopt;
}

Fault check_tag(std::string_view text) {
  const auto word = [](char c) { return is_alnum(c) || c == '_'; };
  const bool good = !text.empty() && text.size() <= kMaxTag && word(text.front()) &&
                    std::all_of(text.begin(), text.end(),
                                [&](char c) { return word(c) || c == '.' || c == '-'; });
  if (good) return std::nullopt;
  return fmt::format("\"{}\" is not a tag (letters, digits, _ . -, at most {})", printable(text),
                     kMaxTag);
}

/// packaging/doc/security.md 1.1, domain detection.
bool is_host(std::string_view first) {
  return first == "localhost" || first.find_first_of(".:") != std::string_view::npos ||
         std::any_of(first.begin(), first.end(), is_upper);
}

struct Name {
  std::string host{kDefaultHost};
  std::string repository;
  std::string tag;
};

Name split_name(std::string_view text) {
  Name name;
  const auto slash = text.find('/');
  if (slash != std::string_view::npos && is_host(text.substr(0, slash))) {
    name.host = text.substr(0, slash);
    text.remove_prefix(slash + 1);
  }
  const auto last_slash = text.rfind('/');
  const auto colon = text.find(':', last_slash == std::string_view::npos ? 0 : last_slash);
  if (colon != std::string_view::npos) {
    name.tag = text.substr(colon + 1);
    if (name.tag.empty()) name.tag = ":";  // "name:" is a fault, not "no tag"
  }
  name.repository = text.substr(0, colon);
  if (name.host == "index.docker.io") name.host = kDefaultHost;
  if (name.host == kDefaultHost && name.repository.find('/') == std::string::npos)
    name.repository.insert(0, "library/");
  return name;
}

Fault check_name(const Name& name) {
  if (auto fault = check_host(name.host)) return fault;
  std::string_view repository = name.repository;
  if (name.host == kDefaultHost && repository.starts_with("library/"))
    repository.remove_prefix(std::string_view{"library/"}.size());
  if (auto fault = check_repository(repository)) return fault;
  if (!name.tag.empty()) {
    if (auto fault = check_tag(name.tag)) return fault;
  }
  if (name.host.size() + 1 + name.repository.size() > kMaxName)
    return fmt::format("host and name together are longer than {} characters", kMaxName);
  return std::nullopt;
}

Error bad(std::string_view text, std::string_view why) {
  return Error{Errc::ref_invalid, fmt::format("image \"{}\": {}", printable(text), why)};
}

Error unpinned(std::string_view text) {
  const auto shown = printable(text);
  return Error{Errc::ref_invalid, fmt::format("image \"{}\" is not pinned by digest", shown)}.hint(
      fmt::format("write {0}@sha256:<64 hex>; the digest is printed by: skopeo inspect --format "
                  "'{{{{.Digest}}}}' docker://{0}",
                  shown));
}

}  // namespace

Result<ImageRef> ImageRef::parse(std::string_view text) {
  if (text.empty()) return bad(text, "is empty").hint("write host/name:tag@sha256:<64 hex>");
  if (text.size() > kMaxText)
    return bad(text.substr(0, 64), fmt::format("is longer than {} characters", kMaxText));
  if (const auto scheme = text.find("://"); scheme != std::string_view::npos)
    return bad(text, "has a scheme in front")
        .hint(fmt::format("leave out \"{}\"", printable(text.substr(0, scheme + 3))));

  const auto at = text.find('@');
  auto name = split_name(text.substr(0, at));
  if (auto fault = check_name(name)) return bad(text, *fault);
  if (at == std::string_view::npos) return unpinned(text);
  auto digest = Digest::parse(text.substr(at + 1));
  if (!digest) return std::move(digest).error().in(fmt::format("image \"{}\"", printable(text)));
  return ImageRef{.host = std::move(name.host),
                  .repository = std::move(name.repository),
                  .tag = std::move(name.tag),
                  .digest = *std::move(digest)};
}

std::string ImageRef::str() const {
  return fmt::format("{}/{}{}{}@{}", host, repository, tag.empty() ? "" : ":", tag, digest.str());
}

}  // namespace holdfast::proto
