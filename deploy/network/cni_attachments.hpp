#pragma once
#include <filesystem>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "common/base/clock.hpp"
#include "deploy/network/cni_config.hpp"
#include "deploy/network/port/attachments.hpp"
#include "proto/config/agent_config.hpp"

namespace holdfast::deploy::network {

/// When the CNI plugin `firewall` is part of the list.
enum class FirewallUse : std::uint8_t {
  where_forward_drops,  ///< only where the host's FORWARD chain drops by default: it costs 55 ms an
                        ///< instance
  always,
  never,
};

struct CniOptions {
  std::filesystem::path state_dir;
  std::filesystem::path run_dir;
  std::filesystem::path cni_dir = "/usr/lib/cni";
  std::string instance = "main";  ///< of agent.yaml
  proto::Subnet subnet;
  FirewallUse firewall = FirewallUse::where_forward_drops;
  std::string conflist;  ///< the operator's own list as JSON; empty: ptp, host-local and, as
                         ///< `firewall` says, firewall
  Milliseconds plugin_timeout{30'000};
};

/// `Attachments` by the CNI plugins of the host.
///
///     run_dir/netns/<id>                              the pinned namespace
///     state_dir/network/attachments/<id>.json         effective conflist and final ADD result,
///     fsynced state_dir/network/leases/holdfast-<instance>/   host-local: one file an address,
///     holding the id
class CniAttachments final : public Attachments {
 public:
  /// Makes the directories. Errors: cni (bad conflist, plugin missing in cni_dir), io.
  [[nodiscard]] static Result<std::unique_ptr<CniAttachments>> open(CniOptions options);

  Result<Attachment> attach(const std::string& id) override;
  Status detach(const std::string& id) override;
  Result<std::optional<Attachment>> find(const std::string& id) override;
  Result<std::size_t> sweep(const std::set<std::string>& known) override;

 private:
  struct Guard;

  explicit CniAttachments(CniOptions options) : options_(std::move(options)) {}
  [[nodiscard]] Guard lock(const std::string& id);
  [[nodiscard]] std::filesystem::path netns_path(const std::string& id) const;
  [[nodiscard]] std::filesystem::path record_path(const std::string& id) const;
  [[nodiscard]] std::filesystem::path leases_dir() const;
  [[nodiscard]] std::string effective_conflist(const std::string& version) const;
  /// None: not each of them gave an answer.
  [[nodiscard]] std::optional<std::string> ask_for_version() const;
  void begin_to_ask();
  [[nodiscard]] std::string version();
  [[nodiscard]] Result<std::optional<AttachmentRecord>> load(const std::string& id);
  /// What an attachment by the present configuration would be recorded as before its ADD.
  [[nodiscard]] AttachmentRecord unrecorded(const std::string& id);
  [[nodiscard]] bool is_whole(const AttachmentRecord& record) const;
  [[nodiscard]] Result<Attachment> build(const std::string& id);
  [[nodiscard]] Result<std::string> add(const AttachmentRecord& record, const CniList& list);
  [[nodiscard]] Status take_down(const AttachmentRecord& record);
  [[nodiscard]] Result<std::string> run_plugin(const char* command, const AttachmentRecord& record,
                                               const CniList& list, std::size_t index,
                                               const std::string& prev_result) const;
  [[nodiscard]] Status free_stale_leases() const;

  const CniOptions options_;
  std::shared_future<std::optional<std::string>> version_;  ///< that the plugins have in common
  std::mutex mutex_;                                        ///< guards `busy_` and `version_`
  std::map<std::string, std::weak_ptr<std::mutex>> busy_;
};

}  // namespace holdfast::deploy::network
