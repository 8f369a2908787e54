#include "deploy/engine/state/rollback_intent.hpp"

#include <boost/json.hpp>

#include "common/log/log.hpp"
#include "common/os/file.hpp"

namespace holdfast::deploy::engine {
namespace {

namespace bj = boost::json;

constexpr std::size_t kMostBytes = 16U << 10;

std::uint64_t number_of(const bj::object& fields, const char* key) {
  const auto* found = fields.if_contains(key);
  return found != nullptr && found->is_int64() && found->get_int64() > 0
             ? static_cast<std::uint64_t>(found->get_int64())
             : 0;
}

std::string text_of(const bj::object& fields, const char* key) {
  const auto* found = fields.if_contains(key);
  return found != nullptr && found->is_string() ? std::string{found->get_string()} : std::string{};
}

std::optional<RollbackIntent> decode(const std::string& text) {
  boost::system::error_code failed;
  const auto value = bj::parse(text, failed);
  const auto* fields = failed ? nullptr : value.if_object();
  if (fields == nullptr) return std::nullopt;
  const auto time = parse_rfc3339(text_of(*fields, "time"));
  if (number_of(*fields, "target") == 0 || !time) return std::nullopt;
  return RollbackIntent{number_of(*fields, "from"), number_of(*fields, "target"),
                        text_of(*fields, "actor"), text_of(*fields, "reason"), *time};
}

}  // namespace

Status RollbackIntentFile::write(const RollbackIntent& intent) const {
  const bj::object fields{{"from", intent.from},
                          {"target", intent.target},
                          {"actor", intent.actor},
                          {"reason", intent.reason},
                          {"time", to_rfc3339(intent.time)}};
  // On the engine's thread, while the disk may be what is in doubt: it has to outlive the agent,
  // not the host.
  return os::write_atomic(path_, bj::serialize(fields), 0600, os::Durability::lazy);
}

std::optional<RollbackIntent> RollbackIntentFile::read() const {
  const auto text = os::read_regular_file(path_, kMostBytes);
  if (!text) return std::nullopt;
  auto intent = decode(*text);
  if (intent) return intent;
  log::error("event=intent_unusable file={}", path_.string());
  remove();
  return std::nullopt;
}

void RollbackIntentFile::remove() const {
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}

}  // namespace holdfast::deploy::engine
