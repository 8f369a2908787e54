#pragma once
/// \file
/// A host made of values, behind the engine's ports: the ledger is real, everything else is
/// simulated.

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "deploy/engine/core.hpp"
#include "tests/support/fake_clock.hpp"

namespace holdfast::test {

/// Who asks, in tests.
inline const deploy::requests::Actor kRoot{"root (uid 0)", proto::api::Role::root};

/// What outlives the agent: images, containers and the kernel's routing.
struct FakeHost {
  FakeClock clock;
  std::string boot_id = "this one";  ///< another after a boot
  BootTime started{};
  std::set<proto::Digest> local_images;
  std::vector<std::string> image_volumes;            ///< that every image declares
  std::map<proto::Digest, Error> unreadable_images;  ///< whose configuration is gone or damaged
  int images_read = 0;                               ///< configurations of images that were read
  bool has_name_server = true;
  std::map<std::string, Error>
      cannot_give;  ///< what a service asks of the host, by its image's tag
  std::optional<os::DiskSpace> disk;
  deploy::image::Holders retained;
  std::map<proto::Digest, Error> damaged_images;  ///< in local_images, but `find` refuses them
  std::map<proto::Digest, Error> pull_errors;
  int pulls = 0;
  std::map<deploy::plan::InstanceId, deploy::plan::ObservedInstance> instances;
  std::set<std::string> failing_creates;  ///< services whose create is refused
  std::set<proto::Digest> unstartable;    ///< images whose create is refused
  std::map<std::string, int> exits;       ///< services and hooks that end at once, with this code
  std::map<std::string, Error> create_errors;  ///< by service or hook
  /// What instances wrote last; called in jobs. Empty: nobody reads it.
  std::function<deploy::runtime::LastWords(const deploy::plan::InstanceId&)> last_words;
  os::MemorySigns memory;  ///< what the agent reads
  proto::StandbyRule standby;
  Milliseconds rehearse_every{0};
  std::vector<std::string> created;  ///< names, in order
  std::uint32_t connections = 0;     ///< that outlast each drain
  int creates = 0;
  [[nodiscard]] std::set<deploy::plan::InstanceId> frozen() const;
  std::optional<deploy::plan::RoutingTable> routing = deploy::plan::RoutingTable{};
  int restores = 0;  ///< of the table
  std::optional<Error> restore_error;
  deploy::runtime::HostsTable hosts;  ///< as the containers read them
  std::set<deploy::plan::PortKey> taken_ports;
  deploy::plan::Address next_address = 0x0A590002;
  std::set<deploy::plan::PortKey> reserved_ports;  ///< that the publisher holds
  std::uint32_t open_connections = 0;              ///< of every instance that is not in `cut`
  std::set<deploy::plan::Address> cut;             ///< instances whose connections were ended
  /// What was asked to stop, with which rule, in order.
  std::vector<std::pair<deploy::plan::InstanceId, proto::StopRule>> stops;
  std::set<std::string> stubborn;       ///< services that end only when they are killed
  int spared = 0;                       ///< cuts that were called off
  std::function<void()> on_route;       ///< called when new connections are sent elsewhere
  std::function<void()> during_freeze;  ///< called before everything in it stands still
  std::function<void()> during_cut;  ///< called between the look at the connections and their end
};

class FakeImages final : public deploy::image::Images {
 public:
  explicit FakeImages(FakeHost& host) : host_(host) {}
  Result<deploy::image::Pulled> ensure(const deploy::image::Wanted&,
                                       const deploy::image::ProgressSink&,
                                       const std::stop_token&) override;
  Result<deploy::image::StoredImage> find(const proto::Digest&) override;
  Result<deploy::image::HeldImage> look(const proto::Digest&) override;
  void retain(deploy::image::Holders holders) override { host_.retained = std::move(holders); }
  Result<std::set<proto::Digest>> list() override { return host_.local_images; }
  Result<deploy::image::Collected> collect(const std::set<proto::Digest>& keep,
                                           const std::stop_token&) override;

 private:
  FakeHost& host_;
};

class FakeRuntime final : public deploy::runtime::Instances,
                          public deploy::runtime::InstanceControl {
 public:
  explicit FakeRuntime(FakeHost& host) : host_(host) {}
  Result<std::vector<deploy::plan::ObservedInstance>> observe(
      deploy::runtime::InspectionDepth) override;
  Status create(const deploy::runtime::InstanceSpec&, const std::stop_token&) override;
  Status restart(const deploy::plan::InstanceId&, const std::stop_token&) override;
  Result<deploy::runtime::StopOutcome> stop(const deploy::plan::InstanceId&, const proto::StopRule&,
                                            const std::stop_token&) override;
  Status remove(const deploy::plan::InstanceId&, const std::stop_token&) override;
  Status freeze(const deploy::plan::InstanceId&, const std::stop_token& spare) override;
  Status thaw(const deploy::plan::InstanceId&) override;
  Result<std::uint32_t> reset_connections(const deploy::plan::InstanceId&,
                                          const std::stop_token&) override {
    return host_.connections;
  }
  Result<deploy::runtime::ExecResult> exec(const deploy::plan::InstanceId&,
                                           const std::vector<std::string>&, Milliseconds,
                                           const std::stop_token&) override {
    return deploy::runtime::ExecResult{};
  }
  std::optional<deploy::runtime::SdNotifyState> sd_notify_state(
      const deploy::plan::InstanceId&) override {
    return std::nullopt;
  }
  Status set_hosts(const deploy::runtime::HostsTable& hosts) override {
    host_.hosts = hosts;
    return ok();
  }
  Status enforce(const deploy::plan::InstanceId& id) override;
  Status expel(const deploy::plan::InstanceId& id) override;
  void watch(
      std::function<void(const deploy::plan::InstanceId&, deploy::runtime::Change)>) override {}

 private:
  FakeHost& host_;
};

class FakePublisher final : public deploy::network::Publisher {
 public:
  explicit FakePublisher(FakeHost& host) : host_(host) {}
  Result<deploy::plan::RoutingTable> observe() override;
  Status apply(const deploy::plan::RoutingTable& wanted) override;
  Status restore(const deploy::plan::RoutingTable& wanted) override;
  Status reserve(const std::set<deploy::plan::PortKey>& ports) override;
  void watch(std::function<void()>) override {}
  Result<std::map<deploy::plan::Address, std::uint32_t>> connections(
      const std::set<deploy::plan::Address>& instances) override;
  Result<std::uint32_t> cut(deploy::plan::Address instance, const std::stop_token& stop) override;

 private:
  FakeHost& host_;
};

/// Runs each job at once; its results wait until `deliver`. Jobs of `delayed` pools wait for
/// `release`.
class InlineJobs final : public deploy::engine::Jobs {
 public:
  std::set<Pool> delayed;
  void run(Pool pool, Work work) override {
    if (delayed.contains(pool)) return waiting_.push_back(std::move(work));
    if (auto back = work({})) results_.push_back(std::move(back));
  }
  /// Runs what was delayed; how many.
  std::size_t release() {
    auto waiting = std::exchange(waiting_, {});
    for (const auto& work : waiting) {
      if (auto back = work({})) results_.push_back(std::move(back));
    }
    return waiting.size();
  }
  bool deliver() {
    if (results_.empty()) return false;
    auto results = std::exchange(results_, {});
    for (auto& result : results) result();
    return true;
  }

 private:
  std::deque<Work> waiting_;
  std::deque<std::function<void()>> results_;
};

/// What people get of a plan.
[[nodiscard]] inline Result<proto::api::PlanReport> finished(
    Result<deploy::engine::UnfinishedPlan> plan) {
  if (!plan) return std::move(plan).error();
  return std::move(plan).value()();
}

/// A document as a source offers it.
[[nodiscard]] deploy::engine::Candidate candidate(const std::string& document,
                                                  const std::string& file);

/// An agent's life on a host: a Core over a real ledger. Destroying it is a kill -9 between two
/// turns.
class Agent {
 public:
  Agent(FakeHost& host, const std::filesystem::path& state_dir, std::uint32_t retain = 5);
  /// Over a ledger that outlives it.
  Agent(FakeHost& host, deploy::ledger::Ledger& ledger, std::uint32_t retain, Milliseconds resync,
        const std::filesystem::path& run_dir = "/nonexistent");

  /// Turns until nothing more happens within `span` of simulated time.
  void run(BootClock::duration span);
  [[nodiscard]] Result<proto::api::Accepted> apply(const std::string& document, bool now = false);
  [[nodiscard]] Result<proto::api::Accepted> rollback(std::uint64_t to = 0);
  /// What a dry run of it says.
  [[nodiscard]] Result<proto::api::PlanReport> plan_rollback(std::uint64_t to = 0);
  [[nodiscard]] std::shared_ptr<const deploy::engine::Snapshot> snapshot() const {
    return core_->snapshot();
  }
  deploy::engine::Core& core() { return *core_; }
  [[nodiscard]] const deploy::engine::CandidateReader& reader() const { return *reader_; }
  InlineJobs& jobs() { return jobs_; }
  deploy::ledger::Ledger& ledger() { return *in_use_; }

 private:
  void begin(std::uint32_t retain, Milliseconds resync, const std::filesystem::path& run_dir);

  FakeHost& host_;
  FakeImages images_;
  FakeRuntime runtime_;
  FakePublisher publisher_;
  InlineJobs jobs_;
  std::unique_ptr<deploy::ledger::Ledger> ledger_;
  deploy::ledger::Ledger* in_use_ = nullptr;
  std::optional<deploy::engine::CandidateReader> reader_;
  std::unique_ptr<deploy::engine::Core> core_;
};

}  // namespace holdfast::test
