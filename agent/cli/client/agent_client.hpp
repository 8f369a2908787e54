#pragma once
/// \file
/// The agent's API as typed calls (proto/api/operations.hpp). Each answer keeps the body as it
/// came, for
/// `--output json`.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "agent/cli/client/http_client.hpp"
#include "agent/cli/client/sse.hpp"
#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "proto/api/codec.hpp"
#include "proto/api/operations.hpp"
#include "proto/api/query.hpp"

namespace holdfast::agent::cli {

template <class T>
struct Answer {
  T value;
  std::string body;  ///< JSON as the agent sent it
};

/// Events as they come.
class EventStream {
 public:
  explicit EventStream(HttpStream stream) : stream_(std::move(stream)) {}
  /// The next event; none at the end of the stream. Errors: as HttpStream::next, internal.
  [[nodiscard]] Result<std::optional<proto::api::Event>> next(std::optional<BootTime> deadline);

 private:
  HttpStream stream_;
  SseParser parser_;
  std::vector<ServerEvent> ready_;
  std::size_t taken_ = 0;
};

/// What a call takes beside its request.
struct CallOptions {
  std::string argument{};  ///< of the path's {}
  Milliseconds timeout{30'000};
};

/// Errors of every call: unreachable (the agent itself), perm, timed_out, cancelled, internal; and
/// what the agent answered, by its code, with its next step. The agent's own E_UNREACHABLE (it did
/// not reach something) becomes Errc::registry, so that `unreachable` always means the agent. Not
/// thread safe.
class AgentClient {
 public:
  template <proto::api::Literal kName>
  using RequestOf = typename proto::api::Op<kName>::Request;
  /// What an operation answers with, unless the caller names another of its answers.
  template <proto::api::Literal kName>
  using AnswerOf = std::tuple_element_t<0, typename proto::api::Op<kName>::Answer::Items>;

  AgentClient(const Clock& clock, HttpClient::Options options) : http_(clock, std::move(options)) {}

  /// call<"hold">({reason, until}): a row of proto/api/operations.hpp by its name.
  template <proto::api::Literal kName, class T = AnswerOf<kName>>
  [[nodiscard]] Result<Answer<T>> call(const RequestOf<kName>& request = {},
                                       const CallOptions& options = {}) const {
    using Operation = proto::api::Op<kName>;
    static_assert(proto::api::kAnswersWith<Operation, T>, "the row knows no such answer");
    static_assert(!Operation::Answer::kIsStream, "its answer goes on: use stream");
    HF_ASSIGN(auto body,
              send(Operation::kRow, asked<Operation>(request, options), options.timeout));
    auto value = proto::api::decode<T>(body);
    if (!value) return not_understood(value.error());
    return Answer<T>{std::move(value).value(), std::move(body)};
  }

  /// The same for an answer that goes on.
  template <proto::api::Literal kName>
  [[nodiscard]] Result<HttpStream> stream(const RequestOf<kName>& request,
                                          const CallOptions& options = {}) const {
    using Operation = proto::api::Op<kName>;
    static_assert(Operation::Answer::kIsStream, "its answer ends: use call");
    return open(request_of(Operation::kRow, asked<Operation>(request, options)), options.timeout);
  }
  /// The same for one that goes on with frames of `protocol`.
  template <proto::api::Literal kName>
  [[nodiscard]] Result<Connection> upgrade(const RequestOf<kName>& request,
                                           std::string_view protocol) const {
    using Operation = proto::api::Op<kName>;
    static_assert(Operation::Answer::kIsStream, "its answer ends: use call");
    const CallOptions options;
    auto wanted = request_of(Operation::kRow, asked<Operation>(request, options));
    wanted.upgrade = protocol;
    HF_ASSIGN(auto opened, open(wanted, options.timeout));
    return std::move(opened).take_connection();
  }
  [[nodiscard]] Result<EventStream> events(const proto::api::EventsQuery& query) const {
    HF_ASSIGN(auto opened, stream<"events">(query));
    return EventStream{std::move(opened)};
  }

  [[nodiscard]] const std::filesystem::path& socket() const { return http_.socket(); }

 private:
  using Query = std::vector<std::pair<std::string, std::string>>;
  struct Asked {
    const std::string& argument;
    Query query;
    std::string body;
  };

  template <class Operation>
  static Asked asked(const typename Operation::Request& request, const CallOptions& options) {
    if constexpr (std::is_same_v<typename Operation::Request, proto::api::Nothing>) {
      return {options.argument, {}, {}};
    } else if constexpr (Operation::kRow.method == proto::api::Method::get) {
      return {options.argument, proto::api::query_of(request), {}};
    } else {
      return {options.argument, {}, proto::api::encode(request)};
    }
  }

  [[nodiscard]] Result<std::string> send(const proto::api::OperationRow& row, Asked asked,
                                         Milliseconds timeout) const;
  [[nodiscard]] Result<HttpStream> open(const HttpRequest& request, Milliseconds timeout) const;
  friend class EventStream;
  static HttpRequest request_of(const proto::api::OperationRow& row, Asked asked);
  static Error not_understood(const Error& error);

  HttpClient http_;
};

}  // namespace holdfast::agent::cli
