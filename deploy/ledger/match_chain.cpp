#include "deploy/ledger/match_chain.hpp"

#include "deploy/ledger/queries.hpp"
#include "deploy/plan/recovery.hpp"
#include "proto/deployment/deployment.hpp"

namespace holdfast::deploy::ledger {
namespace {

/// In the order in which they are tried.
std::vector<GenerationId> candidates(const Tables& told, GenerationId effective,
                                     GenerationId recorded) {
  std::vector<GenerationId> ids{effective, recorded};
  const auto& all = told.generations();
  for (auto each = all.rbegin(); each != all.rend(); ++each) ids.push_back(each->first);
  return ids;
}

}  // namespace

std::optional<plan::Progress> match_chain(db::Db& db, const Tables& told, GenerationId effective,
                                          const plan::Progress& recorded,
                                          const std::vector<plan::ObservedInstance>& running) {
  for (const auto id : candidates(told, effective, recorded.current)) {
    const auto row = told.generations().find(id);
    if (row == told.generations().end()) continue;
    const auto text = read_accepted_document(db, row->second.spec_digest);
    if (!text) continue;
    const auto document = proto::load_deployment(*text, "ledger");
    if (!document) continue;
    auto matched = plan::match_running(recorded, *document, id, running);
    if (!matched) continue;
    if (id != effective && effective.value() != 0) matched->good = effective;
    return matched;
  }
  return std::nullopt;
}

}  // namespace holdfast::deploy::ledger
