#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "agent/daemon/metrics.hpp"
#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "common/os/as_user.hpp"
#include "common/os/job_pool.hpp"
#include "deploy/engine/engine.hpp"
#include "deploy/image/archives.hpp"
#include "deploy/image/care.hpp"
#include "deploy/image/images.hpp"
#include "proto/api/messages.hpp"
#include "proto/config/agent_config.hpp"

namespace holdfast::agent::daemon {

/// What people do with the image store, and the scrub: one job at a time, beside the pulls of
/// roll-outs, which the engine runs. A scrub gives way to people. Thread safe; the destructor
/// joins.
class ImageDesk {
 public:
  struct Parts {
    deploy::engine::Engine& engine;
    deploy::image::Images& images;
    deploy::image::ImageCare& care;
    deploy::image::ImageArchives& archives;
    const Clock& clock;
  };
  ImageDesk(Parts parts, proto::ScrubConfig scrub);

  /// Begins a job; its end is an event `image`. Errors: busy (eight wait already), and what can be
  /// said at once: ref_invalid, usage.
  [[nodiscard]] Result<proto::api::ImageJob> pull(const proto::api::ImagePullRequest& request,
                                                  const std::string& actor);
  [[nodiscard]] Result<proto::api::ImageJob> verify(const proto::api::ImageVerifyRequest& request,
                                                    const std::string& actor);
  [[nodiscard]] Result<proto::api::ImageJob> gc(const std::string& actor);
  /// Files are opened with the rights of `user`, who asks.
  [[nodiscard]] Result<proto::api::ImageJob> export_image(
      const proto::api::ImageExportRequest& request, const std::string& actor, os::FileUser user);
  [[nodiscard]] Result<proto::api::ImageJob> import_images(
      const proto::api::ImageImportRequest& request, const std::string& actor, os::FileUser user);

  /// Blocking looks at the store, for a thread that may.
  [[nodiscard]] Result<std::vector<proto::api::ImageItem>> list();
  [[nodiscard]] Result<proto::api::ImageGcReport> gc_plan();

  /// Runs `look` on a thread that may block. False: too many wait.
  [[nodiscard]] bool look(std::function<void()> look);

  /// From the io thread, now and then: begins a scrub or a repair that is due.
  void tick();
  void fill(DaemonFigures& figures) const;
  /// Abandons what runs; joins.
  void stop();

 private:
  using Outcome = proto::api::ImageResult;
  using Work = std::function<Status(Outcome&, const std::stop_token&)>;
  using Digests = std::set<proto::Digest>;

  Result<proto::api::ImageJob> start(const std::string& operation, const std::string& actor,
                                     Work work);
  void run(std::uint64_t job, const std::string& operation, const Work& work,
           const std::stop_token& stop);
  Status do_pull(const proto::ImageRef& ref, WallTime until, const std::string& actor,
                 Outcome& outcome, const std::stop_token& stop);
  Status do_verify(const proto::api::ImageVerifyRequest& request, const std::string& actor,
                   Outcome& outcome, const std::stop_token& stop);
  Status do_export(const proto::api::ImageExportRequest& request, const os::FileUser& user,
                   Outcome& outcome, const std::stop_token& stop);
  Status do_import(const proto::api::ImageImportRequest& request, WallTime until,
                   const std::string& actor, const os::FileUser& user, Outcome& outcome,
                   const std::stop_token& stop);
  [[nodiscard]] Result<WallTime> lease_end(const std::string& until) const;
  Status do_gc(const std::string& actor, Outcome& outcome, const std::stop_token& stop);
  Status repair(const std::vector<deploy::image::ImageInfo>& damaged, Outcome& outcome,
                const std::stop_token& stop);
  Status repair_known(const std::stop_token& stop);
  Result<bool> scrub_layers(const std::stop_token& stop);
  void scrub(const std::stop_token& stop);
  Result<Digests> resolve(const std::vector<std::string>& names);
  Status add_items(const Digests& digests, Outcome& outcome);
  deploy::image::ProgressSink sink();
  void count(const deploy::image::Verification& sum);

  Parts parts_;
  proto::ScrubConfig scrub_config_;
  mutable std::mutex mutex_;
  std::uint64_t next_job_ = 1;
  std::vector<std::string> queue_;         ///< "verify of root (uid 0)", the running one first
  std::optional<std::stop_source> scrub_;  ///< while one runs
  BootTime next_scrub_{};
  std::uint32_t failed_repairs_ = 0;
  ImageFigures figures_;
  os::JobPool looks_{"image-look", {.threads = 1, .waiting = 16}};
  os::JobPool work_{"image", {.threads = 1, .waiting = 9}};
};

}  // namespace holdfast::agent::daemon
