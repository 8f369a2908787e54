#include "proto/api/query.hpp"

#include <fmt/format.h>

#include "common/base/text.hpp"
#include "proto/api/members.hpp"

namespace holdfast::proto::api {
namespace {

struct QueryWriter {
  std::vector<std::pair<std::string, std::string>> out;

  void operator()(std::string_view name, std::uint64_t value) {
    out.emplace_back(name, std::to_string(value));
  }
  void operator()(std::string_view name, bool flag) { out.emplace_back(name, flag ? "1" : "0"); }
  void operator()(std::string_view name, const std::string& text) {
    if (!text.empty()) out.emplace_back(name, text);
  }
  void operator()(std::string_view name, const std::optional<std::uint64_t>& value) {
    if (value) (*this)(name, *value);
  }
};

struct QueryReader {
  const std::map<std::string, std::string>& given;
  holdfast::Status fault = ok();

  template <class T>
  void operator()(std::string_view name, T& member) {
    const auto found = given.find(std::string{name});
    if (found == given.end() || !fault) return;
    if (auto taken = take(name, found->second, member); !taken) fault = std::move(taken);
  }

 private:
  static holdfast::Status take(std::string_view name, const std::string& text, std::uint64_t& to) {
    const auto value = parse_number(text);
    if (!value) return Error{value.error()}.in(name);
    to = *value;
    return ok();
  }
  static holdfast::Status take(std::string_view name, const std::string& text,
                               std::optional<std::uint64_t>& to) {
    if (text.empty()) return ok();
    return take(name, text, to.emplace());
  }
  static holdfast::Status take(std::string_view name, const std::string& text, bool& to) {
    if (text != "1" && text != "0" && !text.empty())
      return Error{Errc::usage,
                   fmt::format("{}: \"{}\" is neither 0 nor 1", name, printable(text))};
    to = text == "1";
    return ok();
  }
  static holdfast::Status take(std::string_view, const std::string& text, std::string& to) {
    to = text;
    return ok();
  }
};

}  // namespace

template <class T>
std::vector<std::pair<std::string, std::string>> query_of(const T& query) {
  QueryWriter writer;
  detail::members(writer, query, static_cast<T*>(nullptr));
  return std::move(writer.out);
}

template <class T>
Result<T> read_query(const std::map<std::string, std::string>& given) {
  T query;
  QueryReader reader{given};
  detail::members(reader, query, static_cast<T*>(nullptr));
  if (!reader.fault) return std::move(reader.fault).error();
  return query;
}

#define HOLDFAST_API_QUERY(T)                                                            \
  template std::vector<std::pair<std::string, std::string>> query_of<T>(const T& query); \
  template Result<T> read_query<T>(const std::map<std::string, std::string>& given);
HOLDFAST_API_QUERIES(HOLDFAST_API_QUERY)
#undef HOLDFAST_API_QUERY

}  // namespace holdfast::proto::api
