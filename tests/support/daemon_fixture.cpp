#include "tests/support/daemon_fixture.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "agent/daemon/open_source.hpp"
#include "common/base/text.hpp"
#include "common/log/log.hpp"
#include "common/os/environment.hpp"
#include "deploy/ledger/readers.hpp"
#include "deploy/ledger/recover.hpp"
#include "deploy/runtime/logs/log_reader.hpp"
#include "proto/api/codec.hpp"
#include "proto/api/exec_frames.hpp"

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;

class FakeExec final : public agent::daemon::ExecRun {
 public:
  explicit FakeExec(std::string command) : command_(std::move(command)) {}
  [[nodiscard]] std::string number() const override { return "1"; }
  proto::api::ExecEnd run(os::UniqueFd client, const std::stop_token& stop) override {
    using proto::api::ExecFrame;
    send(client, proto::api::exec_frame(ExecFrame::output, "hello " + command_));
    if (command_ == "wait") {
      const SystemClock clock;
      pollfd gone{client.get(), POLLIN, 0};
      while (!stop.stop_requested() && ::poll(&gone, 1, 20) == 0) continue;
    }
    const proto::api::ExecEnd end{stop.stop_requested() ? 137U : 7U, std::nullopt};
    send(client, proto::api::exec_frame(ExecFrame::ended, proto::api::encode(end)));
    return end;
  }

 private:
  static void send(const os::UniqueFd& client, const std::string& bytes) {
    (void)!::send(client.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  std::string command_;
};

class FakeAgent final : public agent::daemon::Agent {
 public:
  FakeAgent(std::unique_ptr<deploy::ledger::Ledger> ledger, std::filesystem::path state_dir,
            std::unique_ptr<deploy::image::ImageStore> store, const Clock& clock,
            const FakeEngine::Options& options)
      : ledger_(std::move(ledger)),
        store_(std::move(store)),
        state_dir_(std::move(state_dir)),
        clock_(clock),
        engine_(*ledger_, clock, options) {
    store_->retain({});  // it needs no image
  }
  deploy::image::ImageStore& images() override { return *store_; }
  deploy::engine::Engine& engine() override { return engine_; }
  agent::daemon::LogRead logs() override {
    return [reader = deploy::runtime::LogReader{state_dir_ / "logs"}](
               const auto& query, const auto& sink, const auto& stop) {
      return reader.read(query, sink, stop);
    };
  }
  /// Says "hello" and what was asked for, and waits for the client's end or the daemon's.
  agent::daemon::PrepareExec exec() override {
    return [](const proto::api::ExecRequest& asked)
               -> Result<std::unique_ptr<agent::daemon::ExecRun>> {
      return std::make_unique<FakeExec>(asked.command.front());
    };
  }
  /// A process for each service; while the file host-hangs is there, none of it comes.
  agent::daemon::HostStats host_stats(const std::set<std::string>& declared) override {
    while (std::filesystem::exists(state_dir_ / "host-hangs"))
      os::sleep_until(clock_.boot() + Milliseconds{10}, {});
    agent::daemon::HostStats figures;
    for (const auto& name : declared) figures.workloads[name].sum.pids = 1;
    return figures;
  }
  agent::daemon::PlanRecovery plan_recovery() override {
    return []() -> Result<proto::api::LedgerRecovery> {
      proto::api::LedgerRecovery report;
      report.fault = "entry 3: its hash does not match its content and the entry before";
      report.old_head.hash = report.new_head.hash = std::string(64, '0');
      return report;
    };
  }
  Result<std::unique_ptr<deploy::desired::Source>> open_source(
      const proto::AgentConfig& wanted) override {
    return agent::daemon::open_source(
        wanted, os::environment("HOLDFAST_BIN").value_or("bin") + "/holdfast-worker", clock_);
  }
  agent::daemon::ReadLedger ledger() override {
    return [readers = std::make_shared<deploy::ledger::Readers>(state_dir_)](const auto& use) {
      return readers->read(use);
    };
  }

 private:
  std::unique_ptr<deploy::ledger::Ledger> ledger_;
  std::unique_ptr<deploy::image::ImageStore> store_;
  std::filesystem::path state_dir_;
  const Clock& clock_;
  FakeEngine engine_;
};

[[noreturn]] void be_the_daemon(const proto::AgentConfig& config,
                                const std::filesystem::path& config_file,
                                const FakeEngine::Options& engine,
                                const std::vector<std::string>& environment) {
  for (const auto& pair : environment) ::putenv(const_cast<char*>(pair.c_str()));
  const int out =
      ::open((config.state_dir.parent_path() / "log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  ::dup2(out, STDERR_FILENO);
  ::signal(SIGPIPE, SIG_IGN);
  log::start(log::Level::info);
  const SystemClock clock;
  const auto compose =
      [&](const proto::AgentConfig& wanted,
          const Clock& the_clock) -> Result<std::unique_ptr<agent::daemon::Agent>> {
    HF_ASSIGN(auto ledger, deploy::ledger::open_ledger(wanted.state_dir));
    HF_ASSIGN(auto store, deploy::image::ImageStore::open(
                              {.state_dir = wanted.state_dir,
                               .worker_path = os::environment("HOLDFAST_BIN").value_or("bin") +
                                              "/holdfast-worker",
                               .registries = {},
                               .clock = the_clock,
                               .host_files = {{}, {}, {}}}));
    return std::make_unique<FakeAgent>(std::move(ledger), wanted.state_dir, std::move(store),
                                       the_clock, engine);
  };
  const auto ended = agent::daemon::run_daemon({config_file, config}, clock, compose);
  if (!ended) log::error("event=failed error={}", log::field(ended.error().to_string()));
  ::_exit(ended ? 0 : 1);
}

std::uint16_t free_port() {
  const os::UniqueFd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  (void)::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size);
  (void)::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

std::string unchunked(std::string_view body) {
  std::string out;
  while (!body.empty()) {
    const auto end = body.find("\r\n");
    if (end == std::string_view::npos) return out;
    const auto size = std::stoul(std::string{body.substr(0, end)}, nullptr, 16);
    if (size == 0) return out;
    out += body.substr(end + 2, size);
    if (body.size() < end + 2 + size + 2) return out;
    body.remove_prefix(end + 2 + size + 2);
  }
  return out;
}

}  // namespace

RawClient RawClient::over_socket(const std::filesystem::path& path) {
  RawClient client;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  os::UniqueFd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0)
    client.fd_ = std::move(fd);
  return client;
}

RawClient RawClient::over_tcp(std::uint16_t port) {
  RawClient client;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  os::UniqueFd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0)
    client.fd_ = std::move(fd);
  return client;
}

void RawClient::send(std::string_view bytes) const {
  while (!bytes.empty()) {
    const auto sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

std::string RawClient::read_all() const { return read_until({}); }

std::string RawClient::read_until(std::string_view text) const {
  std::string all;
  std::array<char, 65536> buffer;
  for (;;) {
    pollfd ready{fd_.get(), POLLIN, 0};
    if (::poll(&ready, 1, 15'000) != 1) return all;
    const auto got = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (got <= 0) return all;
    all.append(buffer.data(), static_cast<std::size_t>(got));
    if (!text.empty() && all.find(text) != std::string::npos) return all;
  }
}

std::uint64_t most_memory_of(pid_t pid) {
  const auto text = os::read_file(fmt::format("/proc/{}/status", pid), 64U << 10);
  if (!text) return 0;
  constexpr std::string_view kName = "VmHWM:";
  const auto at = text->find(kName);
  return at == std::string::npos ? 0 : std::stoull(text->substr(at + kName.size())) << 10;
}

HttpReply parse_reply(const std::string& raw) {
  HttpReply reply;
  const auto end = raw.find("\r\n\r\n");
  if (raw.rfind("HTTP/1.1 ", 0) != 0 || end == std::string::npos) return reply;
  reply.status = std::stoi(raw.substr(9, 3));
  reply.head = raw.substr(0, end + 2);
  reply.body = raw.substr(end + 4);
  if (reply.head.find("Transfer-Encoding: chunked") != std::string::npos)
    reply.body = unchunked(reply.body);
  return reply;
}

std::string document(std::string_view tag) {
  return fmt::format(
      "apiVersion: holdfast/v1\nname: shop\nservices:\n  web:\n    image: "
      "registry.example.com/web:1.0.0@sha256:{}\n"
      "    env: {{TAG: \"{}\"}}\n",
      std::string(64, 'a'), tag);
}

std::string apply_body(std::string_view tag, std::string_view reason) {
  return proto::api::encode(
      proto::api::ApplyRequest{document(tag), "shop.yaml", std::string{reason}, false});
}

void DaemonTest::SetUp() {
  auto temporary = os::TempDir::create("/tmp", "holdfast-system");
  ASSERT_TRUE(temporary);
  temporary_ = std::make_unique<os::TempDir>(std::move(temporary).value());
  metrics_port_ = free_port();
  config_.state_dir = dir() / "state";
  config_.run_dir = dir() / "run";
  config_.socket = dir() / "run" / "holdfast.sock";
  config_.metrics_listen = fmt::format("127.0.0.1:{}", metrics_port_);
  config_.metrics_hosts = {"web1.example.com"};
}

void DaemonTest::TearDown() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void DaemonTest::launch() {
  std::fflush(nullptr);
  pid_ = ::fork();
  ASSERT_GE(pid_, 0);
  if (pid_ == 0) be_the_daemon(config_, dir() / "agent.yaml", engine_, environment_);
}

void DaemonTest::start() {
  launch();
  ASSERT_TRUE(eventually([this] { return get("/readyz").status == 200; })) << log();
}

void DaemonTest::signal(int number) const { ::kill(pid_, number); }

int DaemonTest::wait() {
  const SystemClock clock;
  for (const auto limit = clock.boot() + 15s; clock.boot() < limit;) {
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = -1;
      return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    (void)os::sleep_until(clock.boot() + 5ms, {});
  }
  return -1;
}

std::string DaemonTest::log() const {
  const auto text = os::read_file(dir() / "log");
  return text ? *text : "";
}

HttpReply DaemonTest::raw(std::string_view bytes) const {
  const auto client = RawClient::over_socket(socket());
  if (!client.connected()) return {};
  client.send(bytes);
  return parse_reply(client.read_all());
}

HttpReply DaemonTest::request(std::string_view method, std::string_view target,
                              std::string_view body) const {
  const auto length = method == "POST" ? fmt::format("Content-Length: {}\r\n", body.size()) : "";
  return raw(fmt::format("{} {} HTTP/1.1\r\nHost: holdfast\r\nConnection: close\r\n{}\r\n{}",
                         method, target, length, body));
}

bool DaemonTest::eventually(const std::function<bool()>& check) const {
  const SystemClock clock;
  for (const auto limit = clock.boot() + 5s; clock.boot() < limit;) {
    if (check()) return true;
    (void)os::sleep_until(clock.boot() + 10ms, {});
  }
  return false;
}

}  // namespace holdfast::test
