#include "agent/daemon/source_watch.hpp"

#include <fcntl.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <optional>
#include <vector>

#include "common/os/job_pool.hpp"

namespace holdfast::agent::daemon {
namespace {

namespace asio = boost::asio;
using deploy::desired::Candidate;

class SourceWatchImpl final : public SourceWatch {
 public:
  explicit SourceWatchImpl(Parts parts)
      : parts_(std::move(parts)),
        intake_(*parts_.memory, parts_.clock, parts_.reads),
        health_(parts_.source->origin(), parts_.stale_after, parts_.clock.boot()),
        next_poll_(parts_.io) {
    if (parts_.source->fd() >= 0) {
      events_.emplace(parts_.io, ::fcntl(parts_.source->fd(), F_DUPFD_CLOEXEC, 3));
      wait();
    }
    // Hosts that start together must not ask together; one that runs nothing yet need not wait.
    if (parts_.polls && runs_something()) {
      poll_later();
    } else {
      read();
    }
  }

  ~SourceWatchImpl() override {
    here_.reset();
    for (const auto& done : synced_)
      done(Error{Errc::cancelled, "the agent no longer watches this source"}.hint(
          "holdfast status says what it watches now: ask again"));
  }

  void look() override {
    if (!parts_.polls) read();
  }

  void sync(Synced done) override {
    synced_.push_back(std::move(done));
    parts_.source->ask_for_all();
    read();
  }

  [[nodiscard]] proto::api::SourceStatus status() const override {
    return health_.status(parts_.source->trust(), parts_.clock.wall(), parts_.clock.boot());
  }
  [[nodiscard]] const std::map<Errc, std::uint64_t>& refusals() const override {
    return health_.refusals();
  }

  bool tick() override {
    if (const auto candidate = intake_.offer(parts_.engine.snapshot()->status))
      parts_.engine.source_changed({candidate->text, candidate->origin, candidate->evidence});
    intake_.settle();
    return reading_ || intake_.unsettled();
  }

 private:
  [[nodiscard]] bool runs_something() const {
    return parts_.engine.snapshot()->status.generation != 0;
  }

  void read() {
    if (reading_) {
      again_ = true;
      return;
    }
    served_ = synced_.size();
    reading_ = reader_.start([this, here = std::weak_ptr{here_}](const std::stop_token& stop) {
      asio::post(parts_.io, [this, here, read = parts_.source->read(stop)]() mutable {
        if (!here.expired()) take(std::move(read));
      });
    });
  }

  void wait() {
    events_->async_wait(
        asio::posix::descriptor_base::wait_read,
        [this, here = std::weak_ptr{here_}](const boost::system::error_code& cancelled) {
          if (cancelled || here.expired()) return;
          if (parts_.source->take_changes()) read();
          wait();
        });
  }

  void poll_later() {
    if (!parts_.polls) return;
    next_poll_.expires_after(parts_.polls->until_next(parts_.clock.wall(), health_.failures()));
    next_poll_.async_wait(
        [this, here = std::weak_ptr{here_}](const boost::system::error_code& cancelled) {
          if (!cancelled && !here.expired()) read();
        });
  }

  void take(Result<Candidate> read) {
    reading_ = false;
    if (health_.take(read, parts_.clock.wall(), parts_.clock.boot()))
      parts_.engine.source_refused(read.error(), parts_.source->origin());
    const bool good = read.has_value();
    intake_.take(std::move(read));
    if (good && served_ > 0) intake_.offer_again();
    answer_those_who_wait();
    poll_later();
    if (std::exchange(again_, false)) this->read();
    (void)tick();
  }

  /// Those who asked before this read began.
  void answer_those_who_wait() {
    const auto served = std::exchange(served_, 0);
    std::vector<Synced> waiting{synced_.begin(),
                                synced_.begin() + static_cast<std::ptrdiff_t>(served)};
    synced_.erase(synced_.begin(), synced_.begin() + static_cast<std::ptrdiff_t>(served));
    for (const auto& done : waiting) done(status());
  }

  Parts parts_;
  deploy::desired::Intake intake_;
  deploy::desired::SourceHealth health_;
  std::optional<asio::posix::stream_descriptor> events_;
  asio::steady_timer next_poll_;
  std::vector<Synced> synced_;  ///< who waits for a read that begins after they asked
  std::size_t served_ = 0;      ///< of those, by the read under way
  std::shared_ptr<int> here_ = std::make_shared<int>();  ///< expires with this object
  bool reading_ = false;
  bool again_ = false;  ///< it changed while it was being read
  os::JobPool reader_{
      "source", {.threads = 1, .waiting = 1}};  ///< the next read may come before its thread rests
};

}  // namespace

std::unique_ptr<SourceWatch> SourceWatch::start(Parts parts) {
  return std::make_unique<SourceWatchImpl>(std::move(parts));
}

}  // namespace holdfast::agent::daemon
