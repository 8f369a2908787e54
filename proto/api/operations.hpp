#pragma once
/// \file
/// Every operation of the API, one row each. The routes of the agent, the calls of the client, the
/// fakes of the tests and the check of openapi.yaml are made from these rows: a new operation is a
/// row here, a handler in agent/daemon and a command that shows its answer.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <vector>

#include "proto/api/messages.hpp"

namespace holdfast::proto::api {

enum class Method : std::uint8_t { get, post };
[[nodiscard]] constexpr std::string_view to_string(Method method) {
  return method == Method::get ? "GET" : "POST";
}

/// Who may call; each role includes the ones before it. `none` may call nothing, and `root` is only
/// uid 0.
enum class Role : std::uint8_t { none, observe, rollback, deploy, root };
inline constexpr std::array<std::string_view, 5> kRoleNames{"none", "observe", "rollback", "deploy",
                                                            "root"};
[[nodiscard]] constexpr std::string_view to_string(Role role) {
  return kRoleNames[static_cast<std::size_t>(role)];
}
/// A role that a group can have: neither `none` nor `root`.
[[nodiscard]] constexpr std::optional<Role> role_from(std::string_view name) {
  for (std::size_t i = 1; i < static_cast<std::size_t>(Role::root); ++i) {
    if (kRoleNames[i] == name) return static_cast<Role>(i);
  }
  return std::nullopt;
}

/// What a second call with the same request does (RFC 9110, 9.2.2).
enum class Repeat : std::uint8_t {
  idempotent,  ///< leaves what the first one left: a caller who lost the answer may ask again
  repeats_the_effect  ///< a caller who lost the answer has to look first
};

/// Where it is served.
enum class Reach : std::uint8_t {
  socket,
  socket_and_tcp,          ///< also without a peer that has a name: `metrics_listen`
  socket_and_tcp_by_token  ///< the same; there it takes `metrics_token_file`'s token, if any
};

/// No body and no query.
struct Nothing {};

/// What an operation answers with when it succeeds. `Items` are the messages in it.
template <class... Ts>
struct Json {  ///< one of these
  using Items = std::tuple<Ts...>;
  static constexpr std::string_view kContentType = "application/json";
  static constexpr bool kIsStream = false;
};
template <class T>
struct Lines {  ///< a stream of messages, one a line
  using Items = std::tuple<T>;
  static constexpr std::string_view kContentType = "application/x-ndjson";
  static constexpr bool kIsStream = true;
};
template <class T>
struct ServerSentEvents {  ///< a stream; the data of each event is a message
  using Items = std::tuple<T>;
  static constexpr std::string_view kContentType = "text/event-stream";
  static constexpr bool kIsStream = true;
};
/// The connection itself, both ways, once the agent has said 101 (exec_frames.hpp); the last frame
/// holds a message.
template <class T>
struct Frames {
  using Items = std::tuple<T>;
  static constexpr std::string_view kContentType = "application/vnd.holdfast.exec";
  static constexpr bool kIsStream = true;
};
struct PlainText {
  using Items = std::tuple<>;
  static constexpr std::string_view kContentType = "text/plain";
  static constexpr bool kIsStream = false;
};
struct MetricsText {  ///< exposition format of Prometheus
  using Items = std::tuple<>;
  static constexpr std::string_view kContentType = "text/plain; version=0.0.4; charset=utf-8";
  static constexpr bool kIsStream = false;
};

/// Text as a template argument.
template <std::size_t kSize>
struct Literal {
  consteval Literal(const char (&from)[kSize]) {  // NOLINT: implicit on purpose
    for (std::size_t i = 0; i < kSize; ++i) text[i] = from[i];
  }
  [[nodiscard]] constexpr std::string_view view() const { return {text, kSize - 1}; }
  char text[kSize]{};
};

/// A row without its types.
struct OperationRow {
  std::string_view name;
  Method method{};
  std::string_view path;  ///< at most one "{}" stands for one segment, the argument
  Role role{};
  Repeat repeat{};
  Reach reach{};
  std::string_view content_type;
  bool is_stream = false;
};

template <Literal kName, Method kMethod, Literal kPath, Role kRole, Repeat kRepeat, class Asked,
          class Answered, Reach kReach = Reach::socket>
struct Operation {
  using Request = Asked;  ///< of a GET the query, of a POST the body
  using Answer = Answered;
  static constexpr OperationRow kRow{
      kName.view(), kMethod, kPath.view(),           kRole,
      kRepeat,      kReach,  Answered::kContentType, Answered::kIsStream};
  static_assert(kMethod == Method::post || kRepeat == Repeat::idempotent, "a GET changes nothing");
};

namespace detail {
using enum Method;
using enum Role;
using enum Repeat;
inline constexpr auto tcp = Reach::socket_and_tcp;
inline constexpr auto tcp_by_token = Reach::socket_and_tcp_by_token;

// clang-format off
using Rows = std::tuple<
    //        name                  method path                      role      repeat        request              answer
    Operation<"status",             get,  "/v1/status",              observe,  idempotent,   Nothing,             Json<Status>>,
    Operation<"history",            get,  "/v1/history",             observe,  idempotent,   Nothing,             Json<std::vector<HistoryItem>>>,
    Operation<"generation",         get,  "/v1/generations/{}",      observe,  idempotent,   Nothing,             Json<GenerationRecord>>,
    Operation<"drift",              get,  "/v1/drift",               observe,  idempotent,   Nothing,             Json<std::vector<DriftItem>>>,
    Operation<"plan",               post, "/v1/plan",                observe,  idempotent,   ApplyRequest,        Json<PlanReport>>,
    Operation<"apply",              post, "/v1/apply",               deploy,   idempotent,   ApplyRequest,        Json<Accepted, PlanReport>>,
    Operation<"rollback",           post, "/v1/rollback",            rollback, repeats_the_effect, RollbackRequest,     Json<Accepted, PlanReport>>,
    Operation<"hold",               post, "/v1/hold",                rollback, idempotent,   HoldRequest,         Json<HoldStatus>>,
    Operation<"resume",             post, "/v1/resume",              deploy,   idempotent,   ResumeRequest,       Json<Resumed>>,
    Operation<"quarantine",         get,  "/v1/quarantine",          observe,  idempotent,   Nothing,             Json<std::vector<QuarantineItem>>>,
    Operation<"quarantine_add",     post, "/v1/quarantine/add",      rollback, idempotent,   QuarantineRequest,   Json<QuarantineItem>>,
    Operation<"quarantine_release", post, "/v1/quarantine/release",  deploy,   idempotent,   ReleaseRequest,      Json<QuarantineItem>>,
    Operation<"rehearse",           post, "/v1/rehearse",            rollback, repeats_the_effect, RehearseRequest,     Json<Accepted>>,
    Operation<"standby_drop",       post, "/v1/standby/drop",        deploy,   idempotent,   StandbyDropRequest,  Json<StandbyDropped>>,
    Operation<"service_stop",       post, "/v1/services/stop",       deploy,   idempotent,   ServiceStopRequest,  Json<ServiceChange>>,
    Operation<"service_start",      post, "/v1/services/start",      deploy,   idempotent,   ServiceStartRequest, Json<ServiceChange>>,
    Operation<"service_restart",    post, "/v1/services/restart",    deploy,   repeats_the_effect, ServiceRestartRequest, Json<ServiceChange>>,
    Operation<"exec",               post, "/v1/exec",                deploy,   repeats_the_effect, ExecRequest,         Frames<ExecEnd>>,
    Operation<"shutdown",           post, "/v1/shutdown",            root,     idempotent,   ShutdownRequest,     Json<ShutdownProgress>>,
    Operation<"events",             get,  "/v1/events",              observe,  idempotent,   EventsQuery,         ServerSentEvents<Event>>,
    Operation<"ledger_entries",     get,  "/v1/ledger/entries",      observe,  idempotent,   EntriesQuery,        Json<std::vector<LedgerEntry>>>,
    Operation<"ledger_head",        get,  "/v1/ledger/head",         observe,  idempotent,   Nothing,             Json<LedgerHead>>,
    Operation<"ledger_verify",      post, "/v1/ledger/verify",       observe,  idempotent,   Nothing,             Json<LedgerVerification>>,
    Operation<"ledger_recover",     post, "/v1/ledger/recover",      deploy,   idempotent,   LedgerRecoverRequest, Json<LedgerRecovery>>,
    Operation<"sync",               post, "/v1/source/sync",         deploy,   idempotent,   Nothing,             Json<SourceStatus>>,
    Operation<"logs",               get,  "/v1/logs/{}",             observe,  idempotent,   LogsQuery,           Lines<LogLine>>,
    Operation<"images",             get,  "/v1/images",              observe,  idempotent,   Nothing,             Json<std::vector<ImageItem>>>,
    Operation<"image_verify",       post, "/v1/images/verify",       observe,  idempotent,   ImageVerifyRequest,  Json<ImageJob>>,
    Operation<"image_gc",           post, "/v1/images/gc",           deploy,   idempotent,   ImageGcRequest,      Json<ImageJob, ImageGcReport>>,
    Operation<"image_export",       post, "/v1/images/export",       deploy,   idempotent,   ImageExportRequest,  Json<ImageJob>>,
    Operation<"image_import",       post, "/v1/images/import",       deploy,   idempotent,   ImageImportRequest,  Json<ImageJob>>,
    Operation<"image_pull",         post, "/v1/images/pull",         deploy,   idempotent,   ImagePullRequest,    Json<ImageJob>>,
    Operation<"version",            get,  "/v1/version",             observe,  idempotent,   Nothing,             Json<VersionInfo>>,
    Operation<"metrics",            get,  "/metrics",                observe,  idempotent,   Nothing,             MetricsText, tcp_by_token>,
    Operation<"healthz",            get,  "/healthz",                observe,  idempotent,   Nothing,             PlainText, tcp>,
    Operation<"readyz",             get,  "/readyz",                 observe,  idempotent,   Nothing,             PlainText, tcp>>;
// clang-format on

template <class... Ops>
constexpr std::array<OperationRow, sizeof...(Ops)> rows_of(std::tuple<Ops...>*) {
  return {Ops::kRow...};
}

template <class T, class Tuple>
struct IsOneOf;
template <class T, class... Ts>
struct IsOneOf<T, std::tuple<Ts...>> : std::bool_constant<(std::is_same_v<T, Ts> || ...)> {};

/// Whether T is what some operation asks for.
template <class T, class Tuple>
struct IsAsked;
template <class T, class... Ops>
struct IsAsked<T, std::tuple<Ops...>>
    : std::bool_constant<(std::is_same_v<T, typename Ops::Request> || ...)> {};
}  // namespace detail

using Operations = detail::Rows;
inline constexpr auto kOperations = detail::rows_of(static_cast<Operations*>(nullptr));

/// Where the row of that name stands; the number of rows when there is none.
[[nodiscard]] constexpr std::size_t operation_index(std::string_view name) {
  std::size_t at = 0;
  while (at < kOperations.size() && kOperations[at].name != name) ++at;
  return at;
}

template <Literal kName>
struct NamedOperation {
  static_assert(operation_index(kName.view()) < kOperations.size(), "there is no such operation");
  using type = std::tuple_element_t<operation_index(kName.view()), Operations>;
};
/// The row called that: Op<"status">.
template <Literal kName>
using Op = typename NamedOperation<kName>::type;

template <class Operation, class T>
inline constexpr bool kAnswersWith = detail::IsOneOf<T, typename Operation::Answer::Items>::value;
template <class T>
inline constexpr bool kIsRequest = detail::IsAsked<T, Operations>::value;

}  // namespace holdfast::proto::api
