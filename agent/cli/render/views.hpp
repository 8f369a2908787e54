#pragma once
/// \file
/// What people see of the agent's answers. Pure: text in, text out; everything from outside goes
/// through `printable`.

#include <string>
#include <vector>

#include "agent/cli/render/look.hpp"
#include "common/base/clock.hpp"
#include "proto/api/messages.hpp"
#include "proto/deployment/deployment.hpp"

namespace holdfast::agent::cli {

[[nodiscard]] std::string status_view(const proto::api::Status& status, const Look& look,
                                      WallTime now);
/// One service in full, with its drift. `service` must be one of the status.
[[nodiscard]] std::string service_view(const proto::api::Status& status,
                                       const proto::api::ServiceStatus& service, const Look& look,
                                       WallTime now);
[[nodiscard]] std::string drift_view(const std::vector<proto::api::DriftItem>& drift,
                                     const Look& look, WallTime now);
/// "generation 3 passed 2h ago".
[[nodiscard]] std::string rehearsal_text(const proto::api::RehearsalStatus& rehearsal,
                                         WallTime now);
[[nodiscard]] std::string quarantine_view(const std::vector<proto::api::QuarantineItem>& items,
                                          const Look& look, WallTime now);
[[nodiscard]] std::string history_view(const std::vector<proto::api::HistoryItem>& items,
                                       const Look& look, WallTime now);
[[nodiscard]] std::string generation_view(const proto::api::GenerationRecord& record,
                                          const Look& look, WallTime now);
[[nodiscard]] std::string plan_view(const proto::api::PlanReport& plan, const Look& look);
/// `from` and `to` are names for people: "generation 41", "shop.yaml".
[[nodiscard]] std::string diff_view(const std::vector<proto::FieldChange>& changes,
                                    const std::string& from, const std::string& to,
                                    const Look& look);
[[nodiscard]] std::string images_view(const std::vector<proto::api::ImageItem>& images,
                                      const Look& look, WallTime now);
/// The reference without registry and digest; a short digest where there is none.
[[nodiscard]] std::string image_name(const std::string& reference, const std::string& digest);
[[nodiscard]] std::string gc_view(const proto::api::ImageGcReport& report, const Look& look);
[[nodiscard]] std::string recovery_view(const proto::api::LedgerRecovery& report, const Look& look);
/// One line, with its end.
[[nodiscard]] std::string event_line(const proto::api::Event& event, const Look& look);

/// "registry.example.com/shop/web:1.8.2@sha256:…" → "shop/web:1.8.2".
[[nodiscard]] std::string short_image(std::string_view image);

}  // namespace holdfast::agent::cli
