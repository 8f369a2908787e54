#include "proto/api/codec.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <type_traits>
#include <utility>

#include "common/base/text.hpp"
#include "proto/api/members.hpp"
#include "proto/api/operations.hpp"
#include "proto/json/json.hpp"
#include "proto/json/writer.hpp"

namespace holdfast::proto::api {
namespace {

namespace bj = boost::json;

using Texts = std::map<std::string, std::string>;

/// Visits the members of messages and writes them.
class Writer {
 public:
  template <class T>
  void value(const T& message) {
    out_.begin_object();
    detail::members(*this, message, static_cast<T*>(nullptr));
    out_.end_object();
  }
  void value(const std::string& text) { out_.value(text); }
  template <class E>
  void value(Word<E> word) {
    out_.value(word.text());
  }
  void value(bool flag) { out_.value(flag); }
  void value(std::uint64_t number) { out_.value(number); }
  void value(int number) { out_.value(number); }
  void value(double number) { out_.value(number); }
  void value(const Texts& texts) {
    out_.begin_object();
    for (const auto& [name, text] : texts) out_.key(name).value(text);
    out_.end_object();
  }
  template <class T>
  void value(const std::vector<T>& items) {
    out_.begin_array();
    for (const auto& item : items) value(item);
    out_.end_array();
  }
  template <class T>
  void value(const std::optional<T>& item) {
    if (item) {
      value(*item);
    } else {
      out_.null();
    }
  }

  template <class T>
  void operator()(std::string_view name, const T& member) {
    out_.key(name);
    value(member);
  }

  std::string take() && { return std::move(out_).take(); }

 private:
  json::Writer out_;
};

/// Fills a message from an object; the first fault is kept.
class Reader {
 public:
  Reader(const bj::object& object, std::string path) : object_(object), path_(std::move(path)) {}

  template <class T>
  holdfast::Status read(T& message) {
    detail::members(*this, message, static_cast<T*>(nullptr));
    if (fault_.empty() && kIsRequest<T> && taken_ != object_.size()) name_unknown<T>();
    return status();
  }

  [[nodiscard]] holdfast::Status status() const {
    if (fault_.empty()) return ok();
    return Error{Errc::usage, fault_};
  }

  template <class T>
  void operator()(std::string_view name, T& member) {
    const auto found = object_.find(name);
    if (found == object_.end()) return;
    ++taken_;
    take(path_.empty() ? std::string{name} : fmt::format("{}.{}", path_, name), found->value(),
         member);
  }

 private:
  void fault(const std::string& path, std::string_view what) {
    if (fault_.empty()) fault_ = fmt::format("{} is not {}", path, what);
  }

  template <class T>
  void take(const std::string& path, const bj::value& from, T& to) {
    if (!from.is_object()) return fault(path, "an object");
    if (auto done = Reader{from.get_object(), path}.read(to); !done && fault_.empty())
      fault_ = done.error().what();
  }
  void take(const std::string& path, const bj::value& from, std::string& to) {
    if (!from.is_string()) return fault(path, "a text");
    to = std::string{from.get_string()};
  }
  template <class E>
  void take(const std::string& path, const bj::value& from, Word<E>& to) {
    if (!from.is_string()) return fault(path, "a text");
    const auto& text = from.get_string();
    to = Word<E>::read({text.data(), text.size()});
  }
  void take(const std::string& path, const bj::value& from, bool& to) {
    if (!from.is_bool()) return fault(path, "true or false");
    to = from.get_bool();
  }
  void take(const std::string& path, const bj::value& from, std::uint64_t& to) {
    number(path, from, to);
  }
  void take(const std::string& path, const bj::value& from, int& to) { number(path, from, to); }
  void take(const std::string& path, const bj::value& from, double& to) { number(path, from, to); }
  void take(const std::string& path, const bj::value& from, Texts& to) {
    if (!from.is_object()) return fault(path, "an object");
    to.clear();
    for (const auto& member : from.get_object())
      take(path, member.value(), to[std::string{member.key()}]);
  }
  template <class T>
  void take(const std::string& path, const bj::value& from, std::vector<T>& to) {
    if (!from.is_array()) return fault(path, "an array");
    to.clear();
    to.reserve(from.get_array().size());
    for (const auto& item : from.get_array()) {
      const auto place = fmt::format("{}[{}]", path, to.size());
      take(place, item, to.emplace_back());
    }
  }
  template <class T>
  void take(const std::string& path, const bj::value& from, std::optional<T>& to) {
    to.reset();
    if (!from.is_null()) take(path, from, to.emplace());
  }
  template <class T>
  void number(const std::string& path, const bj::value& from, T& to) {
    boost::system::error_code ec;
    const auto value = from.is_number() ? from.to_number<T>(ec) : T{};
    if (!from.is_number() || ec) return fault(path, "a number in range");
    to = value;
  }

  template <class T>
  void name_unknown() {
    std::vector<std::string_view> known;
    const auto collect = [&](std::string_view name, auto&) { known.push_back(name); };
    T sample;
    detail::members(collect, sample, static_cast<T*>(nullptr));
    for (const auto& member : object_) {
      const std::string_view name{member.key().data(), member.key().size()};
      if (std::find(known.begin(), known.end(), name) != known.end()) continue;
      const auto near = nearest(name, known);
      fault_ = fmt::format("unknown member \"{}\"", printable(name));
      if (!near.empty()) fault_ += fmt::format(", did you mean \"{}\"?", near);
      return;
    }
  }

  const bj::object& object_;
  std::string path_;
  std::string fault_;
  std::size_t taken_ = 0;
};

}  // namespace

template <class T>
std::string encode(const T& message) {
  Writer writer;
  writer.value(message);
  return std::move(writer).take();
}

template <class T>
Result<T> decode(std::string_view text) {
  HF_ASSIGN(const auto value, json::parse(text, Errc::usage));
  T message{};
  if constexpr (requires { typename T::value_type; }) {
    bj::object holder;
    holder["items"] = value;
    Reader reader{holder, ""};
    reader("items", message);
    HF_TRY(reader.status());
  } else {
    if (!value.is_object()) return Error{Errc::usage, "not a JSON object"};
    HF_TRY((Reader{value.get_object(), ""}.read(message)));
  }
  return message;
}

#define HOLDFAST_API_CODEC(T)               \
  template std::string encode<T>(const T&); \
  template Result<T> decode<T>(std::string_view);
#define HOLDFAST_API_LIST_CODEC(T) HOLDFAST_API_CODEC(std::vector<T>)
HOLDFAST_API_MESSAGES(HOLDFAST_API_CODEC)
HOLDFAST_API_LISTS(HOLDFAST_API_LIST_CODEC)
#undef HOLDFAST_API_LIST_CODEC
#undef HOLDFAST_API_CODEC

}  // namespace holdfast::proto::api
