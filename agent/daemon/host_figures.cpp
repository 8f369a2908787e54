#include "agent/daemon/host_figures.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>
#include <vector>

#include "common/os/job_pool.hpp"

namespace holdfast::agent::daemon {
namespace {

namespace asio = boost::asio;

constexpr std::chrono::seconds kFresh{1};
constexpr std::chrono::seconds kPatience{1};

class Figures final : public HostFigures {
 public:
  Figures(asio::io_context& io, const Clock& clock, Read read)
      : io_(io), clock_(clock), read_(std::move(read)), patience_(io) {}

  void ask(std::set<std::string> declared, Use use) override {
    if (clock_.boot() < fresh_until_) return use(last_);
    waiting_.push_back(std::move(use));
    if (waiting_.size() == 1) {
      patience_.expires_after(kPatience);
      patience_.async_wait([this](const boost::system::error_code& cancelled) {
        if (!cancelled) answer();
      });
    }
    if (!reading_) start(std::move(declared));
  }

  void stop() override { reads_.stop(); }

 private:
  void start(std::set<std::string> declared) {
    reading_ = true;
    const bool began = reads_.start([this, names = std::move(declared)](const std::stop_token&) {
      asio::post(io_, [this, read = read_(names)]() mutable { take(std::move(read)); });
    });
    if (began) return;
    reading_ = false;
    answer();
  }

  void take(HostStats read) {
    last_ = std::move(read);
    last_.read_timestamp = std::chrono::duration<double>(clock_.wall().time_since_epoch()).count();
    fresh_until_ = clock_.boot() + kFresh;
    reading_ = false;
    answer();
  }

  void answer() {
    patience_.cancel();
    for (const auto& use : std::exchange(waiting_, {})) use(last_);
  }

  asio::io_context& io_;
  const Clock& clock_;
  const Read read_;
  HostStats last_;
  BootTime fresh_until_{};
  bool reading_ = false;
  std::vector<Use> waiting_;
  asio::steady_timer patience_;
  os::JobPool reads_{"figures", {.threads = 1, .waiting = 0}};
};

}  // namespace

std::unique_ptr<HostFigures> HostFigures::create(asio::io_context& io, const Clock& clock,
                                                 Read read) {
  return std::make_unique<Figures>(io, clock, std::move(read));
}

}  // namespace holdfast::agent::daemon
