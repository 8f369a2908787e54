#include "deploy/ledger/tables.hpp"

#include <fmt/format.h>

#include "common/base/text.hpp"

namespace holdfast::deploy::ledger {
namespace {

/// The value of `field` that the two have, when they differ.
template <class Value>
std::optional<std::string> differ(const std::string& what, std::string_view field,
                                  const Value& file, const Value& chain) {
  if (file == chain) return std::nullopt;
  return fmt::format("{}: its {} is \"{}\", the chain says \"{}\"", what, field,
                     printable(fmt::format("{}", file)), printable(fmt::format("{}", chain)));
}

std::string time_text(const std::optional<WallTime>& time) {
  return time ? to_rfc3339(*time) : std::string{"none"};
}

std::string evidence_text(const std::map<std::string, std::string>& evidence) {
  std::string out;
  for (const auto& [key, value] : evidence) out += fmt::format("{}={} ", key, value);
  return out;
}

std::optional<std::string> compare(const Generation& file, const Generation& chain) {
  const auto what = fmt::format("generation {}", file.id.value());
  if (auto found = differ(what, "document", file.spec_digest.str(), chain.spec_digest.str()))
    return found;
  if (auto found = differ(what, "result", to_string(file.result), to_string(chain.result)))
    return found;
  if (auto found = differ(what, "mark of having been good", file.ever_good, chain.ever_good))
    return found;
  if (auto found = differ(what, "time", to_rfc3339(file.accepted), to_rfc3339(chain.accepted)))
    return found;
  if (auto found = differ(what, "actor", file.actor, chain.actor)) return found;
  return differ(what, "reason", file.reason, chain.reason);
}

std::optional<std::string> compare(const Quarantine& file, const Quarantine& chain) {
  const auto what = fmt::format("the quarantine of document {}", file.spec_digest.short_hex());
  if (auto found = differ(what, "actor", file.actor, chain.actor)) return found;
  if (auto found = differ(what, "reason", file.reason, chain.reason)) return found;
  if (auto found = differ(what, "beginning", to_rfc3339(file.since), to_rfc3339(chain.since)))
    return found;
  if (auto found = differ(what, "end", time_text(file.until), time_text(chain.until))) return found;
  return differ(what, "evidence", evidence_text(file.evidence), evidence_text(chain.evidence));
}

std::string name_of(GenerationId id) { return fmt::format("generation {}", id.value()); }
std::string name_of(const proto::Digest& digest) {
  return fmt::format("the quarantine of document {}", digest.short_hex());
}

/// Of two maps with the same kind of keys.
template <class Rows>
std::optional<std::string> compare_rows(const Rows& file, const Rows& chain) {
  for (const auto& [key, row] : file) {
    const auto told = chain.find(key);
    if (told == chain.end())
      return fmt::format("{} is in the file, and no entry tells of it", name_of(key));
    if (auto found = compare(row, told->second)) return found;
  }
  for (const auto& [key, row] : chain)
    if (!file.contains(key)) return fmt::format("{} is missing, the chain has it", name_of(key));
  return std::nullopt;
}

}  // namespace

bool accepts_document(const proto::Entry& entry) {
  return entry.kind == proto::EntryKind::accepted && entry.detail.contains("document_sha256");
}

Tables::Tables(std::vector<Generation> generations, std::vector<Quarantine> quarantine) {
  for (auto& row : generations) {
    const auto id = row.id;
    generations_.emplace(id, std::move(row));
  }
  for (auto& row : quarantine) {
    const auto digest = row.spec_digest;
    quarantine_.emplace(digest, std::move(row));
  }
}

GenerationId Tables::last() const {
  return generations_.empty() ? GenerationId{} : generations_.rbegin()->first;
}

Status Tables::apply(const proto::Entry& entry) {
  const auto sealed = entry.detail.find(kTablesDetail);
  if (sealed != entry.detail.end()) {
    covered_ = true;
    HF_TRY(apply_sealed(sealed->second));
  } else if (!covered_) {
    apply_words(entry);
  }
  note_effective(entry);
  return ok();
}

void Tables::note_effective(const proto::Entry& entry) {
  if (entry.kind == proto::EntryKind::good || entry.kind == proto::EntryKind::rolled_back)
    effective_ = GenerationId{entry.generation};
}

void Tables::set_result(GenerationId id, GenerationResult result, const std::string& reason) {
  const auto row = generations_.find(id);
  if (row == generations_.end()) return;
  row->second.result = result;
  row->second.reason = well_formed(reason);
  row->second.ever_good = row->second.ever_good || result == GenerationResult::good;
}

void Tables::apply_words(const proto::Entry& entry) {
  using enum proto::EntryKind;
  const GenerationId id{entry.generation};
  switch (entry.kind) {
    case accepted:
      if (accepts_document(entry) && entry.spec_digest)
        generations_.insert_or_assign(id, Generation{.id = id,
                                                     .spec_digest = *entry.spec_digest,
                                                     .accepted = entry.time,
                                                     .actor = entry.actor,
                                                     .reason = entry.reason});
      return;
    case good:
      return set_result(id, GenerationResult::good, entry.reason);
    case failed:
      return set_result(id, GenerationResult::failed, entry.reason);
    case superseded:
      return set_result(id, GenerationResult::superseded, entry.reason);
    case rolled_back:
      return roll_back(entry);
    case quarantined: {
      if (!entry.spec_digest) return;
      Quarantine row{*entry.spec_digest, entry.actor, entry.reason, entry.time, {}, {}};
      if (const auto until = entry.detail.find("until"); until != entry.detail.end())
        if (const auto at = parse_rfc3339(until->second)) row.until = *at;
      quarantine_.insert_or_assign(*entry.spec_digest, std::move(row));
      return;
    }
    case released:
      if (entry.spec_digest) quarantine_.erase(*entry.spec_digest);
      return;
    default:
      return;
  }
}

/// Of a rollout that turned back, its generation failed unless somebody asked for that; of a
/// rollback, the one before it was rolled back from.
void Tables::roll_back(const proto::Entry& entry) {
  const auto turned = entry.detail.find("failed_generation");
  if (turned == entry.detail.end()) {
    if (effective_.value() != 0)
      set_result(effective_, GenerationResult::rolled_back, entry.reason);
    return set_result(GenerationId{entry.generation}, GenerationResult::good, entry.reason);
  }
  const auto id = parse_number(turned->second);
  const auto row = generations_.find(GenerationId{id ? *id : 0});
  if (row != generations_.end() && row->second.result == GenerationResult::pending)
    set_result(row->first, GenerationResult::rolled_back, entry.reason);
}

std::optional<std::string> difference(const Tables& file, const Tables& chain) {
  if (auto found = compare_rows(file.generations(), chain.generations())) return found;
  return compare_rows(file.quarantine(), chain.quarantine());
}

}  // namespace holdfast::deploy::ledger
