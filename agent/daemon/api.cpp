// Who may call what. The routes themselves are in api_reads.cpp, api_changes.cpp and
// api_streams.cpp.
#include "agent/daemon/api.hpp"

#include <fmt/format.h>

#include "agent/daemon/api_call.hpp"
#include "common/base/text.hpp"

namespace holdfast::agent::daemon {

struct Api::Route {
  std::string_view method;
  std::string_view path;  ///< "{}" stands for one segment
  Role role;
  void (Api::*run)(const Call&);
  bool on_tcp = false;
};

namespace {

/// Whether `path` fits `pattern`; `argument` is what stands for "{}".
bool fits(std::string_view pattern, std::string_view path, std::string& argument) {
  const auto hole = pattern.find("{}");
  if (hole == std::string_view::npos) return pattern == path;
  if (path.substr(0, hole) != pattern.substr(0, hole)) return false;
  const auto rest = path.substr(hole);
  if (rest.empty() || rest.find('/') != std::string_view::npos) return false;
  argument = std::string{rest};
  return true;
}

Response not_allowed(std::string_view method, std::string_view path, std::string_view allowed) {
  auto response =
      error_response(Error{Errc::usage, fmt::format("{} is not for {}", printable(method), path)});
  response.status = 405;
  response.allow = std::string{allowed};
  return response;
}

Error unknown_path(const std::string& path, std::span<const std::string_view> known) {
  Error error{Errc::not_found, fmt::format("there is no {}", printable(path))};
  const auto near = nearest(path, known);
  return near.empty() ? error : std::move(error).hint(fmt::format("did you mean {}?", near));
}

}  // namespace

Api::Api(ApiParts parts, Access access) : parts_(std::move(parts)), access_(std::move(access)) {}
Api::~Api() = default;

const std::vector<Api::Route>& Api::routes() {
  using enum Role;
  static const std::vector<Route> all{
      {"GET", "/v1/status", observe, &Api::status},
      {"GET", "/v1/history", observe, &Api::history},
      {"GET", "/v1/generations/{}", observe, &Api::generation},
      {"GET", "/v1/drift", observe, &Api::drift},
      {"POST", "/v1/plan", observe, &Api::plan},
      {"POST", "/v1/apply", deploy, &Api::apply},
      {"POST", "/v1/rollback", Role::rollback, &Api::rollback},
      {"POST", "/v1/hold", Role::rollback, &Api::hold},
      {"POST", "/v1/resume", deploy, &Api::resume},
      {"GET", "/v1/quarantine", observe, &Api::quarantine},
      {"POST", "/v1/quarantine/add", Role::rollback, &Api::quarantine_add},
      {"POST", "/v1/quarantine/release", deploy, &Api::quarantine_release},
      {"POST", "/v1/rehearse", Role::rollback, &Api::rehearse},
      {"POST", "/v1/standby/drop", deploy, &Api::standby_drop},
      {"GET", "/v1/events", observe, &Api::events},
      {"GET", "/v1/ledger/entries", observe, &Api::ledger_entries},
      {"GET", "/v1/ledger/head", observe, &Api::ledger_head},
      {"POST", "/v1/ledger/verify", observe, &Api::ledger_verify},
      {"POST", "/v1/ledger/recover", deploy, &Api::ledger_recover},
      {"GET", "/v1/logs/{}", observe, &Api::logs},
      {"GET", "/v1/images", observe, &Api::images},
      {"POST", "/v1/images/verify", observe, &Api::image_verify},
      {"POST", "/v1/images/gc", deploy, &Api::image_gc},
      {"POST", "/v1/images/export", deploy, &Api::image_export},
      {"POST", "/v1/images/import", deploy, &Api::image_import},
      {"POST", "/v1/images/pull", deploy, &Api::image_pull},
      {"GET", "/v1/version", observe, &Api::version},
      {"GET", "/metrics", observe, &Api::metrics, true},
      {"GET", "/healthz", observe, &Api::healthz, true},
      {"GET", "/readyz", observe, &Api::readyz, true},
  };
  return all;
}

void Api::handle(const ExchangePtr& exchange) {
  const auto& request = exchange->request();
  const bool over_tcp = !request.peer;
  Call call{exchange, ""};
  const Route* found = nullptr;
  std::vector<std::string_view> known;
  for (const auto& route : routes()) {
    if (over_tcp && !route.on_tcp) continue;
    known.push_back(route.path);
    if (fits(route.path, request.path, call.argument)) found = &route;
  }
  if (found == nullptr) return exchange->respond(unknown_path(request.path, known));
  if (request.method != found->method)
    return exchange->respond(not_allowed(request.method, found->path, found->method));
  if (const auto role = over_tcp ? Role::observe : access_.role_of(*request.peer);
      role < found->role) {
    return exchange->respond(
        Error{Errc::perm, fmt::format("{} may not {} {}: that needs the role {}", call.actor(),
                                      found->method, found->path, to_string(found->role))}
            .hint("run this as root, or join the group that agent.yaml names for the role"));
  }
  (this->*found->run)(call);
}

void Api::stop() {
  log_jobs_.stop();
  ledger_jobs_.stop();
  image_looks_.stop();
}

Result<std::uint64_t> Api::Call::number(const std::string& name, std::uint64_t otherwise) const {
  const auto found = request().query.find(name);
  if (found == request().query.end()) return otherwise;
  auto value = parse_number(found->second);
  if (!value) return std::move(value).error().in(name);
  return value;
}

Result<bool> Api::Call::flag(const std::string& name) const {
  const auto value = text(name);
  if (value == "1") return true;
  if (value.empty() || value == "0") return false;
  return Error{Errc::usage, fmt::format("{}: \"{}\" is neither 0 nor 1", name, printable(value))};
}

std::string Api::Call::text(const std::string& name) const {
  const auto found = request().query.find(name);
  return found == request().query.end() ? std::string{} : found->second;
}

std::string Api::Call::actor() const {
  return request().peer ? actor_name(request().peer->uid) : std::string{"a client over TCP"};
}

}  // namespace holdfast::agent::daemon
