#include <fmt/format.h>

#include <boost/json.hpp>
#include <exception>

#include "common/base/text.hpp"
#include "deploy/ledger/queries.hpp"
#include "deploy/ledger/tables.hpp"
#include "proto/json/json.hpp"

namespace holdfast::deploy::ledger {
namespace {

namespace bj = boost::json;

std::int64_t milliseconds_of(WallTime time) { return time.time_since_epoch().count(); }
WallTime time_of(const bj::value& milliseconds) {
  return WallTime{Milliseconds{milliseconds.as_int64()}};
}
std::string text_of(const bj::value& value) { return std::string{value.as_string()}; }
GenerationId id_of(const bj::value& value) {
  return GenerationId{value.to_number<std::uint64_t>()};
}

bj::object object_of(const Generation& row) {
  return {{"id", row.id.value()},
          {"spec_digest", row.spec_digest.str()},
          {"result", to_string(row.result)},
          {"ever_good", row.ever_good},
          {"accepted_ms", milliseconds_of(row.accepted)},
          {"actor", well_formed(row.actor)},
          {"reason", well_formed(row.reason)}};
}

bj::object object_of(const Quarantine& row) {
  bj::object evidence;
  for (const auto& [key, value] : row.evidence) evidence[well_formed(key)] = well_formed(value);
  bj::object out{{"spec_digest", row.spec_digest.str()},
                 {"actor", well_formed(row.actor)},
                 {"reason", well_formed(row.reason)},
                 {"since_ms", milliseconds_of(row.since)},
                 {"evidence", std::move(evidence)}};
  if (row.until) out["until_ms"] = milliseconds_of(*row.until);
  return out;
}

bj::object object_of(const ResultChange& change) {
  return {{"id", change.id.value()},
          {"result", to_string(change.result)},
          {"reason", well_formed(change.reason)}};
}

bj::object object_of(const NewGeneration& made) {
  return object_of(Generation{.id = made.id,
                              .spec_digest = made.spec_digest,
                              .accepted = made.accepted,
                              .actor = made.actor,
                              .reason = made.reason});
}

template <class Rows>
bj::array array_of(const Rows& rows) {
  bj::array out;
  for (const auto& row : rows) out.push_back(object_of(row));
  return out;
}

template <class Rows>
void put(bj::object& to, std::string_view key, const Rows& rows) {
  if (!rows.empty()) to[key] = array_of(rows);
}

Result<Generation> generation_of(const bj::object& from) {
  HF_ASSIGN(auto digest, proto::Digest::parse(text_of(from.at("spec_digest"))));
  HF_ASSIGN(const auto result, result_of(text_of(from.at("result"))));
  return Generation{.id = id_of(from.at("id")),
                    .spec_digest = std::move(digest),
                    .result = result,
                    .ever_good = from.at("ever_good").as_bool(),
                    .accepted = time_of(from.at("accepted_ms")),
                    .actor = text_of(from.at("actor")),
                    .reason = text_of(from.at("reason"))};
}

Result<Quarantine> quarantine_of(const bj::object& from) {
  HF_ASSIGN(auto digest, proto::Digest::parse(text_of(from.at("spec_digest"))));
  Quarantine row{std::move(digest),
                 text_of(from.at("actor")),
                 text_of(from.at("reason")),
                 time_of(from.at("since_ms")),
                 {},
                 {}};
  for (const auto& [key, value] : from.at("evidence").as_object())
    row.evidence.emplace(key, text_of(value));
  if (const auto* until = from.if_contains("until_ms")) row.until = time_of(*until);
  return row;
}

/// Calls `each` with every object of the array, where there is one.
template <class Each>
Status for_each(const bj::object& from, std::string_view key, Each each) {
  const auto* rows = from.if_contains(key);
  if (rows == nullptr) return ok();
  for (const auto& row : rows->as_array()) HF_TRY(each(row));
  return ok();
}

}  // namespace

std::string seal(const Batch& batch) {
  bj::object out;
  if (batch.generation) out["generation"] = object_of(*batch.generation);
  put(out, "results", batch.results);
  put(out, "quarantine", batch.quarantine);
  bj::array released;
  for (const auto& digest : batch.release) released.emplace_back(digest.str());
  if (!released.empty()) out["released"] = std::move(released);
  return out.empty() ? std::string{} : proto::json::canonical(out);
}

std::string seal_all(const Tables& tables) {
  bj::array generations;
  for (const auto& [id, row] : tables.generations()) generations.push_back(object_of(row));
  bj::array quarantine;
  for (const auto& [digest, row] : tables.quarantine()) quarantine.push_back(object_of(row));
  return proto::json::canonical(
      bj::object{{"all", bj::object{{"generations", std::move(generations)},
                                    {"quarantine", std::move(quarantine)}}}});
}

/// In the order in which a commit does it.
Status Tables::apply_sealed(const std::string& text) {
  HF_ASSIGN(const auto parsed, proto::json::parse(text, Errc::ledger_corrupt));
  const auto add = [&](const bj::value& from) -> Status {
    HF_ASSIGN(auto row, generation_of(from.as_object()));
    const auto id = row.id;
    generations_.insert_or_assign(id, std::move(row));
    return ok();
  };
  const auto change = [&](const bj::value& from) -> Status {
    const auto& fields = from.as_object();
    HF_ASSIGN(const auto result, result_of(text_of(fields.at("result"))));
    set_result(id_of(fields.at("id")), result, text_of(fields.at("reason")));
    return ok();
  };
  const auto condemn = [&](const bj::value& from) -> Status {
    HF_ASSIGN(auto row, quarantine_of(from.as_object()));
    const auto digest = row.spec_digest;
    quarantine_.insert_or_assign(digest, std::move(row));
    return ok();
  };
  const auto release = [&](const bj::value& from) -> Status {
    HF_ASSIGN(const auto digest, proto::Digest::parse(text_of(from)));
    quarantine_.erase(digest);
    return ok();
  };
  try {  // of Boost.JSON's accessors: the text is not what `seal` wrote
    const auto& object = parsed.as_object();
    if (const auto* all = object.if_contains("all")) {
      generations_.clear();
      quarantine_.clear();
      HF_TRY(for_each(all->as_object(), "generations", add));
      return for_each(all->as_object(), "quarantine", condemn);
    }
    if (const auto* made = object.if_contains("generation")) HF_TRY(add(*made));
    HF_TRY(for_each(object, "results", change));
    HF_TRY(for_each(object, "quarantine", condemn));
    return for_each(object, "released", release);
  } catch (const std::exception& failure) {
    return Error{
        Errc::ledger_corrupt,
        fmt::format("what an entry says of the tables cannot be read: {}", failure.what())};
  }
}

}  // namespace holdfast::deploy::ledger
