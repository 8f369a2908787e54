#include "agent/daemon/source_watch.hpp"

#include <fcntl.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "common/log/log.hpp"

namespace holdfast::agent::daemon {
namespace {

namespace asio = boost::asio;
using deploy::desired::FileSource;
using deploy::desired::SourceDocument;
using deploy::desired::SourceMemory;

/// The engine has long recorded a document by then; dying earlier only means that it is offered
/// once more.
constexpr auto kRememberAfter = std::chrono::seconds{5};

class SourceWatchImpl final : public SourceWatch {
 public:
  SourceWatchImpl(Parts parts, FileSource source)
      : parts_(std::move(parts)),
        source_(std::move(source)),
        memory_(parts_.state_dir / "source"),
        events_(parts_.io, ::fcntl(source_.fd(), F_DUPFD_CLOEXEC, 3)) {
    wait();
    look();
  }

  void look() override {
    auto document = source_.read();
    if (!document) return failed(document.error());
    last_error_.clear();
    const bool known = (seen_ && seen_->sha256 == document->sha256) ||
                       (!seen_ && memory_.is_last(*document, source_.path()));
    ++(known ? parts_.figures.source_reads_unchanged : parts_.figures.source_reads_updated);
    if (!known) waiting_ = true;
    seen_ = std::move(document).value();
    (void)tick();
  }

  bool tick() override {
    // A roll-out that only waits for its window or the end of a hold gives way to a newer document.
    const auto& rollout = parts_.engine.snapshot()->status.rollout;
    if (waiting_ && (!rollout || rollout->phase == "waiting")) {
      log::info("event=source_changed source={} sha256={}", log::field(source_.path().string()),
                seen_->sha256.substr(0, 12));
      parts_.engine.source_changed(seen_->text, source_.path().string());
      waiting_ = false;
      remember_at_ = parts_.clock.boot() + kRememberAfter;
    }
    if (remember_at_ && parts_.clock.boot() >= *remember_at_) {
      remember_at_.reset();
      if (auto done = memory_.remember(*seen_, source_.path()); !done)
        log::warn("event=source_not_remembered error={}", log::field(done.error().to_string()));
    }
    return waiting_ || remember_at_;
  }

 private:
  void wait() {
    events_.async_wait(asio::posix::descriptor_base::wait_read,
                       [this](const boost::system::error_code& cancelled) {
                         if (cancelled) return;
                         if (source_.take_changes()) look();
                         wait();
                       });
  }

  /// A file that is not there is no news: nothing is taken away because of it.
  void failed(const Error& error) {
    ++parts_.figures.source_reads_error;
    if (error.what() == last_error_) return;
    last_error_ = error.what();
    if (error.code() == Errc::not_found) {
      log::info("event=source_absent source={}", log::field(source_.path().string()));
    } else {
      log::error("event=source_unreadable error={}", log::field(error.to_string()));
    }
  }

  Parts parts_;
  FileSource source_;
  SourceMemory memory_;
  asio::posix::stream_descriptor events_;
  std::optional<SourceDocument> seen_;
  bool waiting_ = false;
  std::optional<BootTime> remember_at_;
  std::string last_error_;
};

}  // namespace

Result<std::unique_ptr<SourceWatch>> SourceWatch::start(Parts parts,
                                                        const std::filesystem::path& file) {
  HF_ASSIGN(auto source, FileSource::watch(file));
  return std::unique_ptr<SourceWatch>{
      std::make_unique<SourceWatchImpl>(std::move(parts), std::move(source))};
}

}  // namespace holdfast::agent::daemon
