#pragma once
/// \file
/// What this host forwards for others.

#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <string>

#include "common/base/result.hpp"
#include "deploy/network/nft/nft_table.hpp"
#include "proto/config/agent_config.hpp"

namespace holdfast::deploy::network {

/// Of all agents of a host; their own tables are "holdfast_<instance>", so none has this name.
inline constexpr const char* kSharedTable = "holdfast";

/// Lets the packets of instances be forwarded, and no others than before. Where
/// net.ipv4.ip_forward is 0 it stays 0: forwarding is turned on for each link, and the table
/// "holdfast", which all agents of a host share, drops what is neither from nor to an instance, nor
/// comes by a link that forwarded before.
/// Where it is 1 somebody wants a router: then nothing of this is there. Belongs to the network
/// namespace of the thread that opened it; not thread safe.
class Forwarding {
 public:
  /// `owner`: the agent's instance; `ours`: the network of its instances; `run_dir`: of the agent,
  /// where it keeps which links forwarded before (links_file); empty: none did.
  [[nodiscard]] static Result<Forwarding> open(std::string owner, proto::Subnet ours,
                                               const std::filesystem::path& run_dir);
  /// One name a line; "default" stands for links that come later.
  [[nodiscard]] static std::filesystem::path links_file(const std::filesystem::path& run_dir) {
    return run_dir / "forwarding-links";
  }

  /// Makes it so. Repeat safe. Runs `nft` when the table is not there (10 ms), and waits 5 s at
  /// most for another agent of this host that does the same or goes. Errors: cni, perm.
  [[nodiscard]] Status ensure();
  /// Digest of the rules of the table as loaded last; empty: there is to be none. What `check` and
  /// `check_table` compare with.
  [[nodiscard]] const std::string& digest() const { return digest_; }
  void expect(std::string digest) { digest_ = std::move(digest); }
  /// Two small reads. Errors: not_found when somebody turned forwarding on or off since `ensure`.
  [[nodiscard]] Status check() const;
  /// Reads the table. Errors: not_found when it was altered since `ensure`.
  [[nodiscard]] Status check_table();
  /// Takes this agent's part away; with the last agent's part the table goes, and the links forward
  /// no longer but where they did before. Repeat safe. Waits as `ensure`.
  [[nodiscard]] Status remove();

 private:
  Forwarding(std::string owner, proto::Subnet ours, std::filesystem::path file, NftTable nft)
      : owner_(std::move(owner)), ours_(ours), file_(std::move(file)), nft_(std::move(nft)) {}
  [[nodiscard]] Status learn_links();
  [[nodiscard]] Result<std::set<std::string>> links_before();
  [[nodiscard]] Status load_table();
  [[nodiscard]] Status load_once();
  [[nodiscard]] Status drop_table();

  std::string owner_;
  proto::Subnet ours_;
  std::filesystem::path file_;
  NftTable nft_;
  std::optional<std::set<std::string>> links_{};  ///< that forwarded before any agent did
  std::string digest_;  ///< of the rules of the table as loaded; empty: there is to be none
};

/// Calls `work` on a thread that sees net.ipv4.ip_forward as 1. The CNI plugin ptp writes 1 into it
/// where it reads anything else (EnableForward in its cmdAdd), which would make the host forward
/// everything for everybody. Where it is 1 already, simply calls. `Forwarding::ensure` must have
/// been called before. Errors: those of `work`; perm.
[[nodiscard]] Status with_forwarding_seen_on(const std::function<Status()>& work);

}  // namespace holdfast::deploy::network
