// From a request to the handler of its row, for those who may. The handlers are in api_reads.cpp,
// api_changes.cpp, api_images.cpp and api_streams.cpp.
#include "agent/daemon/api.hpp"

#include <fmt/format.h>

#include "agent/daemon/asked_host.hpp"
#include "common/base/text.hpp"
#include "proto/api/query.hpp"

namespace holdfast::agent::daemon {
namespace {

namespace api = proto::api;

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

/// What anybody may read may also be asked for without its body: checks of load balancers do.
bool takes_head(const api::OperationRow& row) {
  return row.method == api::Method::get && row.reach != api::Reach::socket;
}

bool takes(const api::OperationRow& row, std::string_view method) {
  return method == to_string(row.method) || (method == "HEAD" && takes_head(row));
}

Response not_allowed(std::string_view method, const api::OperationRow& row) {
  auto response = error_response(
      Error{Errc::usage, fmt::format("{} is not for {}", printable(method), row.path)});
  response.status = 405;
  response.allow = takes_head(row) ? "GET, HEAD" : std::string{to_string(row.method)};
  return response;
}

Error unknown_path(const std::string& path, std::span<const std::string_view> known) {
  Error error{Errc::not_found, fmt::format("there is no {}", printable(path))};
  const auto near = nearest(path, known);
  return near.empty() ? error : std::move(error).hint(fmt::format("did you mean {}?", near));
}

/// A page in a browser whose own name leads here may ask, but not read the answer of another host.
Response wrong_host(const std::string& host) {
  auto response = error_response(
      Error{Errc::usage, fmt::format("this host is not \"{}\"",
                                     printable(std::string_view{host}.substr(0, 253)))}
          .hint("ask it by its address, or list the name in agent.yaml: metrics_hosts"));
  response.status = 421;
  return response;
}

/// It is kept for ever, and shown in lists. A rollback is not refused for what is said of it.
constexpr std::size_t kMostReason = 1000;
template <class Operation>
Status bound_reason(std::string& reason) {
  if (reason.size() <= kMostReason) return ok();
  if constexpr (std::is_same_v<typename Operation::Request, api::RollbackRequest>) {
    reason = well_formed(std::string_view{reason}.substr(0, kMostReason));
    return ok();
  } else {
    return Error{Errc::usage, fmt::format("the reason has {} bytes, {} are the most", reason.size(),
                                          kMostReason)}
        .hint("say it in a sentence, and put the rest where the sentence leads");
  }
}

/// What was asked, read once: what was read is what is executed.
template <class Operation>
Result<typename Operation::Request> read_request(const Request& request) {
  using Asked = typename Operation::Request;
  if constexpr (std::is_same_v<Asked, api::Nothing>) {
    return Asked{};
  } else if constexpr (Operation::kRow.method == api::Method::get) {
    return api::read_query<Asked>(request.query);
  } else {
    auto asked = api::decode<Asked>(request.body);
    if (!asked) return std::move(asked).error().in("request body");
    if constexpr (requires { asked->reason; }) HF_TRY(bound_reason<Operation>(asked->reason));
    return asked;
  }
}

constexpr std::size_t kSmallBody = 64U << 10;
constexpr std::size_t kBodyWithDocument = 2U << 20;  ///< 1 MiB of YAML as JSON text, and a reason

template <class Operation>
constexpr std::size_t body_bytes() {
  return std::is_same_v<typename Operation::Request, api::ApplyRequest> ? kBodyWithDocument
                                                                        : kSmallBody;
}

}  // namespace

struct Api::Route {
  const api::OperationRow& row;
  void (Api::*dispatch)(const ExchangePtr&, std::string argument);
  std::size_t body_bytes;
};

template <class Operation>
void Api::dispatch(const ExchangePtr& exchange, std::string argument) {
  auto asked = read_request<Operation>(exchange->request());
  if (!asked) return exchange->respond(asked.error());
  handle(Call<Operation>{exchange, std::move(argument), role_of(exchange->request()),
                         std::move(asked).value()});
}

const std::vector<Api::Route>& Api::routes() {
  static const auto all = []<class... Ops>(std::tuple<Ops...>*) {
    return std::vector<Route>{{Ops::kRow, &Api::dispatch<Ops>, body_bytes<Ops>()}...};
  }(static_cast<api::Operations*>(nullptr));
  return all;
}

Api::Api(ApiParts parts, Access access) : parts_(std::move(parts)), access_(std::move(access)) {}
Api::~Api() = default;

std::size_t Api::body_limit(std::string_view method, std::string_view path) {
  std::string argument;
  for (const auto& route : routes())
    if (to_string(route.row.method) == method && fits(route.row.path, path, argument))
      return route.body_bytes;
  return kSmallBody;
}

void Api::handle(const ExchangePtr& exchange) {
  const auto& request = exchange->request();
  const bool over_tcp = !request.peer;
  if (over_tcp && request.host && !is_asked_for(*request.host, parts_.tcp_names))
    return exchange->respond(wrong_host(*request.host));
  std::string argument;
  const Route* found = nullptr;
  std::vector<std::string_view> known;
  for (const auto& route : routes()) {
    if (over_tcp && route.row.reach == api::Reach::socket) continue;
    known.push_back(route.row.path);
    if (fits(route.row.path, request.path, argument)) found = &route;
  }
  if (found == nullptr) return exchange->respond(unknown_path(request.path, known));
  const auto& row = found->row;
  if (!takes(row, request.method)) return exchange->respond(not_allowed(request.method, row));
  if (over_tcp && row.reach == api::Reach::socket_and_tcp_by_token)
    if (auto refused = parts_.scrape_token.refusal(request.authorization))
      return exchange->respond(std::move(*refused));
  if (role_of(request) < row.role) {
    return exchange->respond(
        Error{Errc::perm, fmt::format("{} may not {} {}: that needs the role {}", actor_of(request),
                                      to_string(row.method), row.path, to_string(row.role))}
            .hint("run this as root, or join the group that agent.yaml names for the role"));
  }
  (this->*found->dispatch)(exchange, std::move(argument));
}

void Api::stop() {
  exec_jobs_.stop();
  log_jobs_.stop();
  ledger_jobs_.stop();
  image_looks_.stop();
}

}  // namespace holdfast::agent::daemon
