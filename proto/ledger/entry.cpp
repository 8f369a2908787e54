#include "proto/ledger/entry.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <utility>

#include "common/base/text.hpp"
#include "common/crypto/sha256.hpp"
#include "proto/json/json.hpp"

namespace holdfast::proto {
namespace {

namespace bj = boost::json;

constexpr auto& kKinds = Words<EntryKind>::kAll;
static_assert(kKinds.size() == static_cast<std::size_t>(EntryKind::exec_ended) + 1);

void put(bj::object& to, std::string_view key, const std::string& value) {
  if (!value.empty()) to[key] = well_formed(value);
}

void put(bj::object& to, std::string_view key, const std::map<std::string, std::string>& value) {
  if (value.empty()) return;
  bj::object members;
  for (const auto& [name, text] : value) members[well_formed(name)] = well_formed(text);
  to[key] = std::move(members);
}

Error malformed(std::string_view what) {
  return Error{Errc::ledger_corrupt, fmt::format("entry: {}", what)};
}

/// Takes members out of an object one by one, so that what is left over is unknown.
class Members {
 public:
  explicit Members(bj::object object) : object_(std::move(object)) {}

  Result<std::string> text(std::string_view key) {
    const auto found = object_.find(key);
    if (found == object_.end()) return std::string{};
    if (!found->value().is_string()) return malformed(fmt::format("{} is not a text", key));
    std::string value{found->value().get_string()};
    object_.erase(found);
    return value;
  }

  Result<std::map<std::string, std::string>> texts(std::string_view key) {
    std::map<std::string, std::string> values;
    const auto found = object_.find(key);
    if (found == object_.end()) return values;
    if (!found->value().is_object()) return malformed(fmt::format("{} is not an object", key));
    for (const auto& member : found->value().get_object()) {
      if (!member.value().is_string())
        return malformed(fmt::format("{} holds other than texts", key));
      values.emplace(member.key(), std::string{member.value().get_string()});
    }
    object_.erase(found);
    return values;
  }

  Result<std::uint64_t> number(std::string_view key) {
    const auto found = object_.find(key);
    if (found == object_.end()) return std::uint64_t{0};
    boost::system::error_code ec;
    const auto value = found->value().to_number<std::uint64_t>(ec);
    if (ec) return malformed(fmt::format("{} is not a number", key));
    object_.erase(found);
    return value;
  }

  [[nodiscard]] Status finish() const {
    if (object_.empty()) return ok();
    return malformed(fmt::format("unknown member {}", std::string{object_.begin()->key()}));
  }

 private:
  bj::object object_;
};

}  // namespace

std::optional<EntryKind> entry_kind_from(std::string_view text) {
  const auto found = std::find(kKinds.begin(), kKinds.end(), text);
  if (found == kKinds.end()) return std::nullopt;
  return static_cast<EntryKind>(found - kKinds.begin());
}

std::string encode_entry(const Entry& entry) {
  bj::object object;
  put(object, "actor", entry.actor);
  put(object, "detail", entry.detail);
  if (entry.generation != 0) object["generation"] = entry.generation;
  put(object, "images_after", entry.images_after);
  put(object, "images_before", entry.images_before);
  object["kind"] = to_string(entry.kind);
  put(object, "reason", entry.reason);
  put(object, "service", entry.service);
  if (entry.spec_digest) object["spec_digest"] = entry.spec_digest->str();
  object["time"] = to_rfc3339(entry.time);
  return json::canonical(std::move(object));
}

Result<Entry> decode_entry(std::string_view blob) {
  HF_ASSIGN(const auto value, json::parse(blob, Errc::ledger_corrupt));
  if (!value.is_object()) return malformed("not an object");
  Members members{value.get_object()};

  Entry entry;
  HF_ASSIGN(const auto kind_text, members.text("kind"));
  const auto kind = entry_kind_from(kind_text);
  if (!kind) return malformed(fmt::format("unknown kind \"{}\"", printable(kind_text)));
  entry.kind = *kind;
  HF_ASSIGN(const auto time_text, members.text("time"));
  const auto time = parse_rfc3339(time_text);
  if (!time) return malformed(fmt::format("bad time \"{}\"", printable(time_text)));
  entry.time = *time;
  HF_ASSIGN(entry.actor, members.text("actor"));
  HF_ASSIGN(entry.reason, members.text("reason"));
  HF_ASSIGN(entry.service, members.text("service"));
  HF_ASSIGN(entry.generation, members.number("generation"));
  HF_ASSIGN(const auto digest_text, members.text("spec_digest"));
  if (!digest_text.empty()) {
    auto digest = Digest::parse(digest_text);
    if (!digest) return malformed("bad spec_digest");
    entry.spec_digest = std::move(digest).value();
  }
  HF_ASSIGN(entry.images_before, members.texts("images_before"));
  HF_ASSIGN(entry.images_after, members.texts("images_after"));
  HF_ASSIGN(entry.detail, members.texts("detail"));
  HF_TRY(members.finish());
  return entry;
}

std::string entry_hash(std::uint64_t number, std::string_view previous_hash,
                       std::string_view blob) {
  crypto::Sha256 sum;
  sum.update(fmt::format("ledger-v1\n{}\n{}\n", number, previous_hash));
  sum.update(blob);
  return sum.finish_hex();
}

}  // namespace holdfast::proto
