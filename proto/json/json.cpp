#include "proto/json/json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <boost/json/basic_parser_impl.hpp>
#include <set>
#include <vector>

#include "common/base/text.hpp"
#include "proto/json/canonical.hpp"

namespace holdfast::proto::json {
namespace {

namespace bj = boost::json;

/// Sees every token and remembers the first duplicate key; the values themselves are left to the
/// DOM parser.
class DuplicateKeys {
 public:
  static constexpr std::size_t max_object_size = std::size_t(-1);
  static constexpr std::size_t max_array_size = std::size_t(-1);
  static constexpr std::size_t max_key_size = std::size_t(-1);
  static constexpr std::size_t max_string_size = std::size_t(-1);

  bool on_document_begin(bj::error_code&) { return true; }
  bool on_document_end(bj::error_code&) { return true; }
  bool on_object_begin(bj::error_code&) {
    seen_.emplace_back();
    return true;
  }
  bool on_object_end(std::size_t, bj::error_code&) {
    seen_.pop_back();
    return true;
  }
  bool on_array_begin(bj::error_code&) { return true; }
  bool on_array_end(std::size_t, bj::error_code&) { return true; }
  bool on_key_part(bj::string_view part, std::size_t, bj::error_code&) {
    key_.append(part.data(), part.size());
    return true;
  }
  bool on_key(bj::string_view part, std::size_t, bj::error_code& ec) {
    key_.append(part.data(), part.size());
    if (!seen_.back().insert(key_).second) {
      duplicate_ = key_;
      ec = bj::error::extra_data;  // any error: it stops the parser
      return false;
    }
    key_.clear();
    return true;
  }
  bool on_string_part(bj::string_view, std::size_t, bj::error_code&) { return true; }
  bool on_string(bj::string_view, std::size_t, bj::error_code&) { return true; }
  bool on_number_part(bj::string_view, bj::error_code&) { return true; }
  bool on_int64(std::int64_t, bj::string_view, bj::error_code&) { return true; }
  bool on_uint64(std::uint64_t, bj::string_view, bj::error_code&) { return true; }
  bool on_double(double, bj::string_view, bj::error_code&) { return true; }
  bool on_bool(bool, bj::error_code&) { return true; }
  bool on_null(bj::error_code&) { return true; }
  bool on_comment_part(bj::string_view, bj::error_code&) { return true; }
  bool on_comment(bj::string_view, bj::error_code&) { return true; }

  [[nodiscard]] const std::string& duplicate() const { return duplicate_; }

 private:
  std::vector<std::set<std::string, std::less<>>> seen_;
  std::string key_;
  std::string duplicate_;
};

bj::parse_options options() {
  bj::parse_options result;
  result.max_depth = kMaxDepth;
  return result;
}

std::string quoted_text(bj::string_view text) { return quote({text.data(), text.size()}); }

void write(std::string& out, const bj::value& value);

void write_object(std::string& out, const bj::object& object) {
  std::vector<const bj::key_value_pair*> members;
  for (const auto& member : object) members.push_back(&member);
  std::sort(members.begin(), members.end(),
            [](const auto* a, const auto* b) { return a->key() < b->key(); });
  out += '{';
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (i != 0) out += ',';
    out += quoted_text(members[i]->key());
    out += ':';
    write(out, members[i]->value());
  }
  out += '}';
}

void write(std::string& out, const bj::value& value) {
  switch (value.kind()) {
    case bj::kind::null:
      out += "null";
      return;
    case bj::kind::bool_:
      out += value.get_bool() ? "true" : "false";
      return;
    case bj::kind::int64:
      out += fmt::format("{}", value.get_int64());
      return;
    case bj::kind::uint64:
      out += fmt::format("{}", value.get_uint64());
      return;
    case bj::kind::double_:
      out += fmt::format("{}", value.get_double());  // shortest text that reads back the same
      return;
    case bj::kind::string:
      out += quoted_text(value.get_string());
      return;
    case bj::kind::array: {
      out += '[';
      bool first = true;
      for (const auto& item : value.get_array()) {
        if (!std::exchange(first, false)) out += ',';
        write(out, item);
      }
      out += ']';
      return;
    }
    case bj::kind::object:
      write_object(out, value.get_object());
      return;
  }
}

}  // namespace

Result<bj::value> parse(std::string_view text, Errc failure) {
  bj::error_code ec;
  bj::basic_parser<DuplicateKeys> checker{options()};
  const auto used = checker.write_some(false, text.data(), text.size(), ec);
  if (const auto& key = checker.handler().duplicate(); !key.empty())
    return Error{failure, fmt::format("duplicate key \"{}\" before byte {}", printable(key), used)};
  if (ec) return Error{failure, fmt::format("not valid JSON at byte {}: {}", used, ec.message())};
  if (text.find_first_not_of(" \t\r\n", used) != std::string_view::npos)
    return Error{failure, fmt::format("unexpected text after the JSON value at byte {}", used)};
  auto value = bj::parse(bj::string_view{text.data(), text.size()}, ec, {}, options());
  if (ec) return Error{failure, fmt::format("not valid JSON: {}", ec.message())};
  return value;
}

std::string canonical(const bj::value& value) {
  std::string out;
  write(out, value);
  return out;
}

}  // namespace holdfast::proto::json
