#pragma once
/// \file
/// A request on its way through its handler, and the answers that its row allows.

#include <string>

#include "agent/daemon/access.hpp"
#include "agent/daemon/http.hpp"
#include "deploy/requests/actor.hpp"
#include "proto/api/codec.hpp"
#include "proto/api/operations.hpp"

namespace holdfast::agent::daemon {

/// The status of an answer that is not an error: 202 where something has only begun.
template <class T>
[[nodiscard]] unsigned success_status(const T& /*answer*/) {
  return 200;
}
[[nodiscard]] inline unsigned success_status(const proto::api::Accepted& accepted) {
  return accepted.changed ? 202 : 200;
}
[[nodiscard]] inline unsigned success_status(const proto::api::ImageJob& /*begun*/) { return 202; }
[[nodiscard]] inline unsigned success_status(const proto::api::LedgerRecovery& recovery) {
  return recovery.dry_run ? 200 : 202;
}

/// Answers one call, once; may be copied to where the answer is known. Any thread.
template <class Operation>
class Answerer {
 public:
  explicit Answerer(ExchangePtr exchange) : exchange_(std::move(exchange)) {}

  template <class T>
  void operator()(const T& answer) const {
    static_assert(proto::api::kAnswersWith<Operation, T>, "the row knows no such answer");
    send(success_status(answer), proto::api::encode(answer));
  }
  template <class T>
  void operator()(const Result<T>& outcome) const {
    if (!outcome) return exchange_->respond(outcome.error());
    (*this)(*outcome);
  }
  void operator()(const Error& error) const { exchange_->respond(error); }
  /// For the rows that answer with text.
  void text(unsigned status, std::string body) const {
    static_assert(std::tuple_size_v<typename Operation::Answer::Items> == 0);
    send(status, std::move(body));
  }
  /// For the rows whose connection goes on with frames.
  void upgrade(std::string_view protocol, OnUpgrade taken) const {
    static_assert(Operation::Answer::kIsStream);
    exchange_->upgrade(std::string{protocol}, std::move(taken));
  }
  /// For the rows whose answer goes on.
  void stream(Producer next, std::string heartbeat) const {
    static_assert(Operation::Answer::kIsStream);
    exchange_->stream(
        {std::string{Operation::Answer::kContentType}, std::move(next), std::move(heartbeat)});
  }

 private:
  void send(unsigned status, std::string body) const {
    exchange_->respond(Response{.status = status,
                                .content_type = std::string{Operation::Answer::kContentType},
                                .body = std::move(body),
                                .allow = ""});
  }

  ExchangePtr exchange_;
};

template <class Operation>
struct Call {
  ExchangePtr exchange;
  std::string argument;  ///< of the path's {}
  Role role;             ///< of who asks
  typename Operation::Request asked;
  Answerer<Operation> answer{exchange};

  [[nodiscard]] const Request& request() const { return exchange->request(); }
  [[nodiscard]] deploy::requests::Actor actor() const { return {actor_of(request()), role}; }
};
template <proto::api::Literal kName>
using CallOf = Call<proto::api::Op<kName>>;

}  // namespace holdfast::agent::daemon
