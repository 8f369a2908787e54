#pragma once
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "common/os/as_user.hpp"
#include "common/os/job_pool.hpp"
#include "deploy/image/port/image_archives.hpp"
#include "deploy/image/port/image_maintenance.hpp"
#include "deploy/image/port/images.hpp"
#include "deploy/image/upkeep/figures.hpp"
#include "deploy/image/upkeep/job_queue.hpp"
#include "deploy/image/upkeep/scrub_schedule.hpp"
#include "deploy/image/upkeep/scrubber.hpp"
#include "proto/api/messages.hpp"
#include "proto/config/agent_config.hpp"

namespace holdfast::deploy::image {

/// As long as the pulls of a rollout have (deploy/plan/staging.hpp).
inline constexpr std::chrono::hours kFetchDeadline{1};

/// What people do with the image store, and the scrub: one job of a lane at a time, beside the
/// pulls of rollouts, which the engine runs. A scrub gives way to people. A job that fetches ends
/// at its deadline. Thread safe; the destructor joins.
class Upkeep {
 public:
  /// Who hears of it. Called from the threads of the jobs, also at once; must be quick.
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void progress(const PullProgress& progress) = 0;
    /// Images came, went, or were found damaged or repaired. `collected`: see Engine.
    virtual void images_changed(const std::string& collected, const Actor& actor) = 0;
    virtual void ended(const proto::api::ImageResult& result) = 0;
    /// Whether the drift policy lets what is damaged be fetched again.
    [[nodiscard]] virtual Scrubber::Repairs repairs() const = 0;
  };
  struct Parts {
    Images& images;
    ImageMaintenance& care;
    ImageArchives& archives;
    const Clock& clock;
    Listener& listener;
  };
  Upkeep(Parts parts, proto::ScrubConfig scrub);

  /// Begins a job; its end is told to the listener. `since_event` of the answer is the caller's to
  /// set. Errors: busy (job_queue.hpp), and what can be said at once: ref_invalid, usage.
  [[nodiscard]] Result<proto::api::ImageJob> pull(const proto::api::ImagePullRequest& request,
                                                  const Actor& actor);
  [[nodiscard]] Result<proto::api::ImageJob> verify(const proto::api::ImageVerifyRequest& request,
                                                    const Actor& actor);
  [[nodiscard]] Result<proto::api::ImageJob> gc(const Actor& actor);
  /// Files are opened with the rights of `user`, who asks.
  [[nodiscard]] Result<proto::api::ImageJob> export_image(
      const proto::api::ImageExportRequest& request, const Actor& actor, os::FileUser user);
  [[nodiscard]] Result<proto::api::ImageJob> import_images(
      const proto::api::ImageImportRequest& request, const Actor& actor, os::FileUser user);

  /// Blocking looks at the store, for a thread that may.
  [[nodiscard]] Result<std::vector<proto::api::ImageItem>> list();
  [[nodiscard]] Result<proto::api::ImageGcReport> gc_plan();

  /// Now and then: begins a scrub or a repair that is due, and ends what fetches for too long.
  void tick();
  [[nodiscard]] UpkeepStats figures() const;
  /// Abandons what runs; joins.
  void stop();

 private:
  using Outcome = proto::api::ImageResult;
  using Work = std::function<Status(Outcome&, const std::stop_token&)>;
  using Digests = std::set<proto::Digest>;

  /// The job of the network lane that runs.
  struct Fetch {
    BootTime deadline{};
    std::stop_source stop{};
    bool timed_out = false;
  };

  Result<proto::api::ImageJob> start(Lane lane, proto::Word<proto::api::ImageOperation> operation,
                                     const Actor& actor, Work work);
  void run(Lane lane, Outcome outcome, const Work& work, const std::stop_token& stop);
  /// From here on the deadline of what the network lane does counts: not while it hashes what is
  /// here.
  void begin_to_fetch();
  Status fetch(const Work& work, Outcome& outcome, const std::stop_token& stop);
  Status do_pull(const proto::ImageRef& ref, WallTime until, const Actor& actor, Outcome& outcome,
                 const std::stop_token& stop);
  Status do_verify(const proto::api::ImageVerifyRequest& request, const Actor& actor,
                   Outcome& outcome, const std::stop_token& stop);
  Status do_gc(const Actor& actor, Outcome& outcome, const std::stop_token& stop);
  Status do_export(const proto::api::ImageExportRequest& request, const os::FileUser& user,
                   Outcome& outcome, const std::stop_token& stop);
  struct Import {
    proto::api::ImageImportRequest request;
    WallTime until;
    Actor actor;
    os::FileUser user;
  };
  Status do_import(const Import& import, Outcome& outcome, const std::stop_token& stop);
  void scrub(const std::stop_token& stop);
  Status add_items(const Digests& digests, Outcome& outcome);
  void count(const Verification& sum);
  [[nodiscard]] ProgressSink sink();

  Parts parts_;
  Scrubber scrubber_;
  mutable std::mutex mutex_;  ///< of the five below
  JobQueue queue_;
  std::optional<Fetch> fetch_;             ///< while one runs
  std::optional<std::stop_source> scrub_;  ///< while one runs
  ScrubSchedule schedule_;
  UpkeepStats figures_;
  os::JobPool work_{"image", {.threads = 1, .waiting = JobQueue::kMost + 1}};  // and a scrub
  os::JobPool fetches_{"image-fetch", {.threads = 1, .waiting = JobQueue::kMost}};
};

}  // namespace holdfast::deploy::image
