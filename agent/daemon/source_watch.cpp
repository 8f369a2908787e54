#include "agent/daemon/source_watch.hpp"

#include <fcntl.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <optional>

#include "common/os/job_pool.hpp"

namespace holdfast::agent::daemon {
namespace {

namespace asio = boost::asio;
using deploy::desired::Candidate;

class SourceWatchImpl final : public SourceWatch {
 public:
  explicit SourceWatchImpl(Parts parts)
      : parts_(std::move(parts)), intake_(*parts_.memory, parts_.clock, parts_.reads) {
    if (parts_.source->fd() >= 0) {
      events_.emplace(parts_.io, ::fcntl(parts_.source->fd(), F_DUPFD_CLOEXEC, 3));
      wait();
    }
    look();
  }

  void look() override {
    if (reading_) {
      again_ = true;
      return;
    }
    reading_ = reader_.start([this, here = std::weak_ptr{here_}](const std::stop_token& stop) {
      asio::post(parts_.io, [this, here, read = parts_.source->read(stop)]() mutable {
        if (!here.expired()) take(std::move(read));
      });
    });
  }

  bool tick() override {
    if (const auto candidate = intake_.offer(parts_.engine.snapshot()->status))
      parts_.engine.source_changed(candidate->text, candidate->origin);
    intake_.settle();
    return reading_ || intake_.unsettled();
  }

 private:
  void wait() {
    events_->async_wait(asio::posix::descriptor_base::wait_read,
                        [this](const boost::system::error_code& cancelled) {
                          if (cancelled) return;
                          if (parts_.source->take_changes()) look();
                          wait();
                        });
  }

  void take(Result<Candidate> read) {
    reading_ = false;
    intake_.take(std::move(read));
    if (std::exchange(again_, false)) look();
    (void)tick();
  }

  Parts parts_;
  deploy::desired::Intake intake_;
  std::optional<asio::posix::stream_descriptor> events_;
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
