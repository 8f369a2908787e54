#pragma once
/// \file
/// The agent's API as typed calls (proto/openapi.yaml). Each answer keeps the body as it came, for
/// `--output json`.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/cli/http_client.hpp"
#include "agent/cli/sse.hpp"
#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "proto/api/messages.hpp"

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

struct LogQuery {
  std::string service;
  std::optional<std::uint64_t> tail;
  std::string since;  ///< RFC 3339; empty: from the start
  bool follow = false;
};

enum class Follow : std::uint8_t { yes, no };

/// Errors of every call: unreachable (the agent itself), perm, timed_out, cancelled, internal; and
/// what the agent answered, by its code, with its next step. The agent's own E_UNREACHABLE (it did
/// not reach something) becomes Errc::registry, so that `unreachable` always means the agent. Not
/// thread safe.
class AgentClient {
 public:
  AgentClient(const Clock& clock, HttpClient::Options options) : http_(clock, std::move(options)) {}

  [[nodiscard]] Result<Answer<proto::api::Status>> status(Milliseconds timeout = kAnswer);
  [[nodiscard]] Result<Answer<std::vector<proto::api::HistoryItem>>> history(
      Milliseconds timeout = kAnswer);
  [[nodiscard]] Result<Answer<proto::api::GenerationRecord>> generation(std::uint64_t number);
  [[nodiscard]] Result<Answer<std::vector<proto::api::DriftItem>>> drift();
  [[nodiscard]] Result<Answer<proto::api::PlanReport>> plan(
      const proto::api::ApplyRequest& request);
  [[nodiscard]] Result<Answer<proto::api::PlanReport>> plan(
      const proto::api::RollbackRequest& request);
  [[nodiscard]] Result<Answer<proto::api::Accepted>> apply(const proto::api::ApplyRequest& request);
  [[nodiscard]] Result<Answer<proto::api::Accepted>> rollback(
      const proto::api::RollbackRequest& request);
  [[nodiscard]] Result<Answer<proto::api::HoldStatus>> hold(const proto::api::HoldRequest& request);
  [[nodiscard]] Result<Answer<proto::api::Resumed>> resume(
      const proto::api::ResumeRequest& request);
  [[nodiscard]] Result<Answer<std::vector<proto::api::QuarantineItem>>> quarantine();
  [[nodiscard]] Result<Answer<proto::api::QuarantineItem>> quarantine_add(
      const proto::api::QuarantineRequest& request);
  [[nodiscard]] Result<Answer<proto::api::Accepted>> rehearse(
      const proto::api::RehearseRequest& request);
  [[nodiscard]] Result<Answer<proto::api::StandbyDropped>> standby_drop(
      const proto::api::StandbyDropRequest& request);
  [[nodiscard]] Result<Answer<proto::api::QuarantineItem>> quarantine_release(
      const proto::api::ReleaseRequest& request);
  [[nodiscard]] Result<EventStream> events(std::uint64_t after, Follow follow);
  [[nodiscard]] Result<Answer<std::vector<proto::api::LedgerEntry>>> ledger_entries(
      std::uint64_t after, std::uint64_t limit);
  [[nodiscard]] Result<Answer<proto::api::LedgerHead>> ledger_head();
  [[nodiscard]] Result<Answer<proto::api::LedgerVerification>> ledger_verify();
  /// With `dry_run` what it would keep and lose; else the same, and the agent begins anew.
  [[nodiscard]] Result<Answer<proto::api::LedgerRecovery>> ledger_recover(
      const proto::api::LedgerRecoverRequest& request);
  [[nodiscard]] Result<Answer<std::vector<proto::api::ImageItem>>> images(
      Milliseconds timeout = kAnswer);
  [[nodiscard]] Result<Answer<proto::api::ImageGcReport>> image_gc_plan();
  [[nodiscard]] Result<Answer<proto::api::ImageJob>> image_gc();
  [[nodiscard]] Result<Answer<proto::api::ImageJob>> image_pull(
      const proto::api::ImagePullRequest& request);
  [[nodiscard]] Result<Answer<proto::api::ImageJob>> image_export(
      const proto::api::ImageExportRequest& request);
  [[nodiscard]] Result<Answer<proto::api::ImageJob>> image_import(
      const proto::api::ImageImportRequest& request);
  [[nodiscard]] Result<Answer<proto::api::ImageJob>> image_verify(
      const proto::api::ImageVerifyRequest& request);
  [[nodiscard]] Result<HttpStream> logs(const LogQuery& query);
  [[nodiscard]] Result<Answer<proto::api::VersionInfo>> version(Milliseconds timeout = kAnswer);

  [[nodiscard]] const std::filesystem::path& socket() const { return http_.socket(); }

 private:
  static constexpr Milliseconds kAnswer{30'000};

  [[nodiscard]] Result<std::string> call(const HttpRequest& request,
                                         Milliseconds timeout = kAnswer);
  [[nodiscard]] Result<HttpStream> stream(const HttpRequest& request);

  HttpClient http_;
};

}  // namespace holdfast::agent::cli
