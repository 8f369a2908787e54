#include "agent/daemon/daemon.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <thread>

#include "agent/daemon/host_figures.hpp"
#include "agent/daemon/image_news.hpp"
#include "agent/daemon/late_setup.hpp"
#include "agent/daemon/memory.hpp"
#include "agent/daemon/metrics.hpp"
#include "agent/daemon/notify.hpp"
#include "agent/daemon/server.hpp"
#include "agent/daemon/socket_file.hpp"
#include "agent/daemon/source_watch.hpp"
#include "common/log/log.hpp"
#include "common/os/file.hpp"
#include "common/os/guarded_path.hpp"
#include "common/os/host_identity.hpp"
#include "common/os/process.hpp"
#include "deploy/desired/memory.hpp"

namespace holdfast::agent::daemon {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using std::chrono::milliseconds;

/// For children of an agent that was just killed.
constexpr Milliseconds kLeftOverSocket{1'000};
constexpr milliseconds kTick{5'000};
constexpr milliseconds kAnswerFirst{100};
constexpr milliseconds kTickBeforeReady{50};
constexpr milliseconds kTickWhileWaiting{500};
constexpr auto kStopBudget = std::chrono::seconds{9};
constexpr auto kGiveBackEvery = std::chrono::seconds{60};

double seconds_since_epoch(const Clock& clock) {
  return std::chrono::duration<double>(clock.wall().time_since_epoch()).count();
}

/// Settings that only a restart changes.
std::string status_line(const proto::api::Status& status, const std::vector<std::string>& lacks) {
  auto line = fmt::format("{}, generation {}", status.state.text(), status.generation);
  if (!status.message.empty()) line += ": " + status.message;
  for (const auto& text : lacks) line += "; " + text;
  return line;
}

/// The names by which this host may be asked for its metrics.
std::vector<std::string> tcp_names(const proto::AgentConfig& config) {
  auto names = config.metrics_hosts;
  names.emplace_back("localhost");
  const auto own = os::host_name();
  names.push_back(own);
  names.push_back(own.substr(0, own.find('.')));
  return names;
}

class Daemon {
 public:
  Daemon(const DaemonOptions& options, const Clock& clock, Agent& agent, Access access,
         LateSetup late)
      : options_(options),
        config_(options.config),
        clock_(clock),
        agent_(agent),
        engine_(agent.engine()),
        news_(engine_, clock),
        host_(HostFigures::create(
            io_, clock, [&agent](const auto& declared) { return agent.host_stats(declared); })),
        upkeep_({agent.images(), agent.images(), agent.images(), clock, news_},
                options.config.scrub),
        scrape_token_(options.config.metrics_listen.empty() ? std::filesystem::path{}
                                                            : options.config.metrics_token_file),
        api_({engine_, upkeep_, agent.ledger(), agent.logs(), agent.exec(),
              [this](const auto& reply) { metrics(reply); }, tcp_names(options.config),
              scrape_token_, agent.plan_recovery(),
              [this](const deploy::ledger::RecoveryRequest& request) { return restart(request); },
              [this] { return late_.texts(); },
              [this] { return source_ ? std::optional{source_->status()} : std::nullopt; },
              [this](const auto& reply) { sync(reply); }},
             access),
        groups_(access.groups()),
        late_(std::move(late)),
        server_(
            Server::create(io_, {.handler = [this](ExchangePtr exchange) { api_.handle(exchange); },
                                 .role_of = [this](const Peer& peer) { return api_.role_of(peer); },
                                 .body_limit = &Api::body_limit})),
        signals_(io_, SIGTERM, SIGINT, SIGHUP),
        timer_(io_),
        restart_timer_(io_) {
    figures_.last_reload_timestamp = seconds_since_epoch(clock);
  }

  End run(SocketFile socket, os::UniqueFd metrics_fd) {
    socket_.emplace(std::move(socket));
    metrics_fd_ = std::move(metrics_fd);
    take_token(scrape_token_.refresh());
    wait_for_signal();
    engine_.start();
    server_->accept_from(Listener::api, socket_->fd());
    if (metrics_fd_) server_->accept_from(Listener::metrics, metrics_fd_.get());
    tick();
    io_.run();
    return end_;
  }

 private:
  void wait_for_signal() {
    signals_.async_wait([this](const error_code& failed, int number) {
      if (failed) return;
      if (number != SIGHUP) return stop(number);
      reload();
      wait_for_signal();
    });
  }

  /// For a recovery of the ledger, on which nobody may work meanwhile. Who asked is answered first.
  Status restart(const deploy::ledger::RecoveryRequest& request) {
    HF_TRY(deploy::ledger::request_recovery(config_.state_dir, request));
    asio::post(io_, [this] {
      restart_timer_.expires_after(kAnswerFirst);
      restart_timer_.async_wait([this](const error_code& cancelled) {
        if (cancelled) return;
        end_ = End::restart;
        stop(0);
      });
    });
    return ok();
  }

  void tick() {
    const auto snapshot = engine_.snapshot();
    if (!ready_ && snapshot->ready) became_ready();
    if (ready_) {
      if (engine_.alive()) notifier_.send("WATCHDOG=1");
      notifier_.status(status_line(snapshot->status, late_.texts()));
      keep_socket();
      complete_setup();
      upkeep_.tick();
      give_back_memory();
    } else {
      notifier_.send("EXTEND_TIMEOUT_USEC=30000000");
    }
    auto next = ready_ ? kTick : kTickBeforeReady;
    if (ready_ && look_at_source()) next = kTickWhileWaiting;
    if (const auto limit = notifier_.watchdog())
      next = std::min(next, std::chrono::duration_cast<milliseconds>(*limit / 2));
    timer_.expires_after(next);
    timer_.async_wait([this](const error_code& cancelled) {
      if (!cancelled) tick();
    });
  }

  void became_ready() {
    ready_ = true;
    start_source();
    notifier_.send("READY=1");
    log::info("event=ready socket={} metrics={}", config_.socket.string(), config_.metrics_listen);
    release_memory();
  }

  void start_source() {
    source_.reset();
    if (config_.source.empty()) return;
    auto source = agent_.open_source(config_);
    if (source) {
      auto memory = std::make_unique<deploy::desired::FileMemory>(config_.state_dir / "source");
      source_ =
          SourceWatch::start({io_, engine_, std::move(source).value(), std::move(memory), clock_,
                              figures_.source_reads, config_.source.stale_after, polls()});
    } else {
      log::error("event=source_not_watched error={}", log::field(source.error().to_string()));
    }
    next_look_ = clock_.boot() + config_.resync;
  }

  [[nodiscard]] std::optional<deploy::desired::PollSchedule> polls() const {
    if (config_.source.url.empty()) return std::nullopt;
    return deploy::desired::PollSchedule{config_.source.interval,
                                         os::host_identity() + config_.instance};
  }

  void sync(const std::function<void(Result<proto::api::SourceStatus>)>& reply) {
    if (!ready_ && engine_.snapshot()->ready)
      became_ready();  // the next tick would, a little later
    if (!ready_)
      return reply(Error{Errc::busy, "the agent is starting"}.hint("ask again in a moment"));
    if (!source_)
      return reply(Error{Errc::not_found, "this agent has no source of deployments"}.hint(
          "name one in agent.yaml: source: {url: …, trust: …}"));
    source_->sync(reply);
  }

  bool look_at_source() {
    if (!source_) return false;
    if (clock_.boot() >= next_look_) {
      next_look_ = clock_.boot() + config_.resync;
      source_->look();
    }
    return source_->tick();
  }

  /// What could not be had so far. A name service may take its time, so it is asked on a thread of
  /// its own.
  void complete_setup() {
    if (clock_.boot() < next_setup_) return;
    next_setup_ = clock_.boot() + kTick;
    if (late_.is_missing(LateSetup::kMetrics)) {
      if (auto fd = listen_tcp(config_.metrics_listen)) {
        metrics_fd_ = std::move(fd).value();
        server_->accept_from(Listener::metrics, metrics_fd_.get());
        late_.has(LateSetup::kMetrics);
      } else {
        late_.lacks(LateSetup::kMetrics, fd.error());
      }
    }
    refresh_token();
    if (late_.is_missing(LateSetup::kGroups))
      (void)lookups_.start([this, groups = config_.groups](const std::stop_token&) {
        asio::post(io_, [this, groups, found = Access::resolve(groups)]() mutable {
          if (groups == config_.groups && found) take_groups(std::move(found).value());
        });
      });
  }

  /// The disk that it lies on may take its time.
  void refresh_token() {
    if (!scrape_token_.is_wanted()) return;
    (void)tokens_.start([this](const std::stop_token&) {
      asio::post(io_, [this, usable = scrape_token_.refresh()] { take_token(usable); });
    });
  }

  void take_token(const Status& usable) {
    if (usable) return late_.has(LateSetup::kToken);
    late_.lacks(LateSetup::kToken, usable.error());
  }

  /// Those that are known by now.
  void take_groups(Access::Resolved found) {
    if (found.missing) {
      late_.lacks(LateSetup::kGroups, *found.missing);
    } else {
      late_.has(LateSetup::kGroups);
    }
    const bool other = groups_ != found.access.groups();
    groups_ = found.access.groups();
    api_.set_access(std::move(found.access));
    if (other) reopen_socket();
  }

  /// The socket was removed or replaced behind our back (packaging/doc/security.md F-78).
  void keep_socket() {
    if (socket_ && socket_->in_place()) return;
    auto fresh = SocketFile::listen(config_.socket, groups_);
    if (!fresh)
      return log::error("event=socket_lost error={}", log::field(fresh.error().to_string()));
    log::warn("event=socket_restored path={}", config_.socket.string());
    replace_socket(std::move(fresh).value());
  }

  void replace_socket(SocketFile fresh) {
    socket_.emplace(std::move(fresh));
    server_->accept_from(Listener::api, socket_->fd());
  }

  void reload() {
    auto loaded = load_config(options_.config_file);
    auto found =
        loaded ? Access::resolve(loaded->groups) : Result<Access::Resolved>{loaded.error()};
    figures_.last_reload_successful = found.has_value();
    if (!found)
      return log::error("event=reload_failed error={}", log::field(found.error().to_string()));
    if (config_.fixed() != loaded->fixed())
      log::warn(
          "event=reload_incomplete reason=\"directories, addresses, registries, runtime and "
          "instance change with a restart\"");
    const bool other_source = config_.source != loaded->source ||
                              (!config_.source.trust.empty() && config_.labels != loaded->labels);
    config_.change(loaded->live());
    take_groups(std::move(found).value());
    refresh_token();
    engine_.reconfigure(config_.live());
    if (!socket_ || !socket_->in_place()) reopen_socket();
    if (other_source && ready_) {
      start_source();  // which reads it
    } else if (source_) {
      source_->look();
    }
    figures_.last_reload_timestamp = seconds_since_epoch(clock_);
    log::info("event=reloaded");
  }

  /// Anew, for groups that changed. The old one has to go first: only one can have the name.
  void reopen_socket() {
    socket_.reset();
    auto fresh = SocketFile::listen(config_.socket, groups_);
    if (fresh) return replace_socket(std::move(fresh).value());
    log::error("event=socket_lost error={}", log::field(fresh.error().to_string()));
  }

  void give_back_memory() {
    if (clock_.boot() < next_give_back_) return;
    next_give_back_ = clock_.boot() + kGiveBackEvery;
    release_memory();
  }

  void metrics(const std::function<void(std::string)>& reply) {
    std::set<std::string> declared;
    for (const auto& service : engine_.snapshot()->status.services) declared.insert(service.name);
    host_->ask(std::move(declared),
               [this, reply](const HostStats& host) { reply(metrics_of(host)); });
  }

  std::string metrics_of(const HostStats& host) {
    figures_.api_connections = server_->connections();
    figures_.engine_alive = engine_.alive();
    figures_.images = upkeep_.figures();
    figures_.host = host;
    figures_.setup_incomplete = late_.gauges();
    figures_.source.reset();
    figures_.source_refusals.clear();
    if (source_) {
      figures_.source = source_->status();
      figures_.source_refusals = source_->refusals();
    }
    return metrics_text(*engine_.snapshot(), figures_);
  }

  void stop(int signal_number) {
    log::info("event=stopping signal={}", signal_number);
    notifier_.send(end_ == End::restart ? "STATUS=restarts" : "STOPPING=1");
    // A step that hangs must not keep the agent: what is on disk is enough to go on from.
    const std::jthread guard{[this](const std::stop_token& stopped) {
      os::name_this_thread("stop-guard");
      if (!os::sleep_until(clock_.boot() + kStopBudget, stopped)) return;
      log::error("event=stop_timed_out seconds={}", std::chrono::seconds{kStopBudget}.count());
      ::_exit(1);
    }};
    server_->stop_accepting();
    timer_.cancel();
    restart_timer_.cancel();
    source_.reset();
    socket_.reset();
    api_.stop();
    upkeep_.stop();
    engine_.stop();
    host_->stop();  // may hang with a disk
    tokens_.stop();
    lookups_.stop();  // may hang with a name service: what is on disk is closed by now
    server_->close_all();
    io_.stop();
    log::info("event=stopped");
  }

  const DaemonOptions& options_;
  proto::AgentConfig config_;
  const Clock& clock_;
  Agent& agent_;
  deploy::engine::Engine& engine_;
  asio::io_context io_{1};
  DaemonStats figures_;
  Notifier notifier_ = Notifier::from_environment();
  ImageNews news_;
  std::unique_ptr<HostFigures> host_;
  deploy::image::Upkeep upkeep_;
  ScrapeToken scrape_token_;
  Api api_;
  std::vector<gid_t> groups_;
  LateSetup late_;
  os::JobPool lookups_{"groups", {.threads = 1, .waiting = 0}};
  os::JobPool tokens_{"token", {.threads = 1, .waiting = 0}};
  std::unique_ptr<Server> server_;
  asio::signal_set signals_;
  asio::steady_timer timer_;
  asio::steady_timer restart_timer_;
  End end_ = End::stopped;
  std::optional<SocketFile> socket_;
  os::UniqueFd metrics_fd_;
  std::unique_ptr<SourceWatch> source_;
  bool ready_ = false;
  BootTime next_look_{};
  BootTime next_setup_{};
  BootTime next_give_back_{};
};

/// A child that an agent was just starting when it was killed holds its lock until exec(2).
Result<os::FileLock> lock_state(const std::filesystem::path& state_dir, const Clock& clock) {
  constexpr Milliseconds kLongest{1'000};
  constexpr Milliseconds kStep{20};
  const auto deadline = clock.boot() + kLongest;
  for (;;) {
    auto lock = os::FileLock::acquire(state_dir / "lock");
    if (lock || lock.error().code() != Errc::busy || clock.boot() >= deadline) return lock;
    os::sleep_until(clock.boot() + kStep, {});
  }
}

/// What the agent believes by its place is only root's to write.
Status claim(std::string_view what, const std::filesystem::path& directory, mode_t most) {
  auto claimed = os::claim_directory(directory, most);
  if (!claimed) return std::move(claimed).error().in(fmt::format("use {}", what));
  if ((claimed->before & ~most & 0777U) != 0)
    log::warn("event=mode_mended what={} path={} before={:o} now={:o}", what,
              log::field(directory.string()), claimed->before, claimed->before & most);
  return ok();
}

}  // namespace

Result<proto::AgentConfig> load_config(const std::filesystem::path& file) {
  auto read = os::read_trusted(file, 1U << 20);  // it says who may do what
  if (!read) return std::move(read).error().in("read " + file.string());
  const auto text = std::move(read).value();
  auto parsed = proto::parse_agent_config(text, file.string());
  if (parsed.config) {
    parsed.config->file = file;
    parsed.config->labels.emplace("host", os::host_name());
    return std::move(*parsed.config);
  }
  std::string faults;
  for (const auto& fault : parsed.errors)
    faults += (faults.empty() ? "" : "\n") + fault.to_string();
  return Error{Errc::spec_parse, std::move(faults)};
}

Result<End> run_daemon(const DaemonOptions& options, const Clock& clock, const Compose& compose) {
  const auto& config = options.config;
  HF_TRY(claim("state_dir", config.state_dir, 0700));
  HF_TRY(claim("run_dir", config.run_dir, 0755));
  HF_TRY(claim("volumes", config.state_dir / "volumes", 0700));
  auto lock = lock_state(config.state_dir, clock);
  if (!lock)
    return std::move(lock).error().hint(
        "stop the other agent (systemctl stop holdfastd), or give this one a state_dir, run_dir "
        "and instance of its own");
  LateSetup late;
  HF_ASSIGN(auto found, Access::resolve(config.groups));
  if (found.missing) late.lacks(LateSetup::kGroups, *found.missing);
  HF_ASSIGN(auto socket, SocketFile::listen(config.socket, found.access.groups(), kLeftOverSocket));
  os::UniqueFd metrics_fd;
  if (!config.metrics_listen.empty()) {
    if (auto fd = listen_tcp(config.metrics_listen)) {
      metrics_fd = std::move(fd).value();
    } else {
      late.lacks(LateSetup::kMetrics, fd.error());
    }
  }
  HF_ASSIGN(const auto agent, compose(config, clock));
  return Daemon{options, clock, *agent, std::move(found.access), std::move(late)}.run(
      std::move(socket), std::move(metrics_fd));
}

}  // namespace holdfast::agent::daemon
