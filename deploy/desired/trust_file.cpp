#include "deploy/desired/trust_file.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "common/os/file.hpp"
#include "proto/digest.hpp"
#include "proto/json/fields.hpp"
#include "proto/json/writer.hpp"
#include "proto/trust/envelope.hpp"

namespace holdfast::deploy::desired {
namespace {

namespace bj = boost::json;
using proto::json::number_field;
using proto::json::string_field;

constexpr std::size_t kMostBytes = 2 * proto::trust::kMostEnvelopeBytes;

/// The serial of nothing has nothing beside it; any other has all.
Result<trust::Floor> floor_of(const bj::object& object) {
  trust::Floor floor{.serial = number_field(object, "serial"),
                     .document = string_field(object, "document"),
                     .content = string_field(object, "content")};
  const auto time = parse_rfc3339(string_field(object, "time"));
  const auto expires = parse_rfc3339(string_field(object, "expires"));
  if (!time || !expires) return Error{Errc::ledger_corrupt, "a time is missing"};
  floor.time = *time;
  floor.expires = *expires;
  const bool whole = proto::Digest::parse("sha256:" + floor.document).has_value() &&
                     proto::Digest::parse(floor.content).has_value();
  if (whole == (floor.serial == 0)) return Error{Errc::ledger_corrupt, "serial and digests differ"};
  return floor;
}

Result<TrustState> state_of(const std::string& text) {
  HF_ASSIGN(const bj::object object, proto::json::json_object(text, Errc::ledger_corrupt));
  HF_ASSIGN(auto floor, floor_of(object));
  return TrustState{string_field(object, "root"), std::move(floor)};
}

}  // namespace

Result<TrustState> TrustFile::read() const {
  const auto text = os::read_regular_file(file_, kMostBytes);
  if (!text && text.error().code() == Errc::not_found) return TrustState{};
  if (!text) return text.error();
  auto state = state_of(*text);
  if (state) return state;
  return std::move(state)
      .error()
      .in("read " + file_.string())
      .hint(fmt::format("put it back from a backup; without it only the ledger knows which "
                        "documents are old. To start over nevertheless: rm {}",
                        file_.string()));
}

Status TrustFile::write(const TrustState& state) const {
  proto::json::Writer json{proto::json::Layout::indented};
  json.begin_object();
  json.key("serial").value(state.floor.serial);
  json.key("document").value(state.floor.document);
  json.key("content").value(state.floor.content);
  json.key("time").value(to_rfc3339(state.floor.time));
  json.key("expires").value(to_rfc3339(state.floor.expires));
  json.key("root").value(state.root);
  json.end_object();
  return os::write_atomic(file_, std::move(json).take() + "\n", 0600);
}

}  // namespace holdfast::deploy::desired
