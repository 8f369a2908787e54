#include "deploy/plan/admission/hearing.hpp"

#include <fmt/format.h>

namespace holdfast::deploy::plan {
namespace {

bool is_of_it(const HeardSerial& word, const std::optional<HeardSerial>& before) {
  return before && before->source == word.source;
}

}  // namespace

bool is_news(const HeardSerial& word, const std::optional<HeardSerial>& before) {
  return word.serial == 0 || !is_of_it(word, before) || word.serial > before->serial;
}

Heard hear(const Hearing& hearing) {
  const auto& [word, before, accepted_last, displaced] = hearing;
  if (word.serial != 0 && is_of_it(word, before) && word.serial < before->serial)
    return Heard::older;
  if (!accepted_last) return Heard::wanted;
  if (word.serial == 0 || !is_news(word, before)) return Heard::known;
  return displaced ? Heard::wanted : Heard::refreshed;
}

Error older_error(const HeardSerial& word, std::uint64_t heard) {
  return Error{Errc::spec_rollback,
               fmt::format("serial {} of {} is below {}, which this host has heard before",
                           word.serial, word.source, heard)}
      .hint(
          "publish it under a higher serial; trust.json of the state directory was lost or put "
          "back, and is right again with the next document");
}

}  // namespace holdfast::deploy::plan
