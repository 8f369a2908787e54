// Beginning, ending, reloading, and what happens to the socket meanwhile.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "common/base/text.hpp"
#include "proto/api/codec.hpp"
#include "tests/support/daemon_fixture.hpp"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using test::RawClient;
using ::testing::HasSubstr;
using ::testing::Not;

class Lifecycle : public test::DaemonTest {
 protected:
  void write_config(const std::string& more) const {
    const auto text = fmt::format("state_dir: {}\nrun_dir: {}\nsocket: {}\nmetrics_listen: {}\n{}",
                                  config_.state_dir.string(), config_.run_dir.string(),
                                  config_.socket.string(), config_.metrics_listen, more);
    ASSERT_TRUE(os::write_atomic(dir() / "agent.yaml", text));
  }
  /// Runs another daemon with this one's configuration, changed; returns what it logged.
  std::string second(const std::function<void(proto::AgentConfig&)>& change) {
    struct Other : DaemonTest {
      void TestBody() override {}
      using DaemonTest::config_;
      using DaemonTest::launch;
      using DaemonTest::log;
      using DaemonTest::SetUp;
      using DaemonTest::TearDown;
      using DaemonTest::wait;
    } other;
    other.SetUp();
    auto config = config_;
    change(config);
    other.config_ = config;
    other.launch();
    EXPECT_EQ(other.wait(), 1);
    auto log = other.log() + (config.state_dir == config_.state_dir ? this->log() : "");
    other.TearDown();
    return log;
  }
  SystemClock clock_;
};

TEST_F(Lifecycle, EndsCleanlyOnSigterm) {
  start();
  const auto begin = clock_.boot();
  signal(SIGTERM);
  EXPECT_EQ(wait(), 0);
  EXPECT_LT(clock_.boot() - begin, 2s);
  EXPECT_FALSE(fs::exists(socket())) << "the socket goes with the daemon";
  EXPECT_THAT(log(), HasSubstr("event=stopped"));
}

TEST_F(Lifecycle, EndsCleanlyOnSigint) {
  start();
  signal(SIGINT);
  EXPECT_EQ(wait(), 0);
}

TEST_F(Lifecycle, EndsWithinTenSecondsEvenWhenTheEngineHangs) {
  engine_.stop_takes = 60s;
  start();
  const auto begin = clock_.boot();
  signal(SIGTERM);
  EXPECT_EQ(wait(), 1);
  EXPECT_LT(clock_.boot() - begin, 10s);
  EXPECT_THAT(log(), HasSubstr("event=stop_timed_out"));
}

TEST_F(Lifecycle, StartsAgainAfterAKill) {
  start();
  ASSERT_EQ(request("POST", "/v1/apply", test::apply_body("one")).status, 202);
  signal(SIGKILL);
  EXPECT_EQ(wait(), 128 + SIGKILL);
  EXPECT_TRUE(fs::exists(socket())) << "nobody could remove it";
  start();
  EXPECT_THAT(get("/v1/ledger/head").body, HasSubstr("\"number\":1"));
}

TEST_F(Lifecycle, ASecondAgentOnTheStateDirectoryIsToldWhoUsesIt) {
  start();
  const auto log = second([&](auto& config) {
    config.socket = dir() / "other.sock";
    config.metrics_listen.clear();
  });
  EXPECT_THAT(log, HasSubstr("E_BUSY"));
  EXPECT_THAT(log, HasSubstr("is in use by pid"));
  EXPECT_THAT(log, HasSubstr("state_dir, run_dir and instance of its own"));
  EXPECT_EQ(get("/v1/status").status, 200);
}

TEST_F(Lifecycle, ASecondAgentOnTheSocketIsRefused) {
  start();
  const auto log = second([&](auto& config) {
    config.state_dir = dir() / "second" / "state";
    config.metrics_listen.clear();
    fs::create_directories(dir() / "second");
  });
  const auto other_log = os::read_file(dir() / "second" / "log");
  EXPECT_THAT(log + (other_log ? *other_log : ""), HasSubstr("another program answers on"));
  EXPECT_EQ(get("/v1/status").status, 200);
}

/// A process that listens on the port until it is killed: a descriptor of this one's would go to
/// the daemon.
pid_t take(std::uint16_t port) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool taken = ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 &&
                       ::listen(fd, 1) == 0;
    (void)!::write(ends[1], taken ? "y" : "n", 1);
    for (;;) ::pause();
  }
  char answer = 'n';
  EXPECT_EQ(::read(ends[0], &answer, 1), 1);
  EXPECT_EQ(answer, 'y');
  ::close(ends[0]);
  ::close(ends[1]);
  return child;
}

TEST_F(Lifecycle, AMetricsPortInUseIsSaidAndServedOnceItIsFree) {
  const pid_t holder = take(metrics_port_);
  start();
  EXPECT_THAT(log(), HasSubstr("event=setup_incomplete what=metrics_listen"));
  EXPECT_THAT(log(), HasSubstr("E_PORT_IN_USE"));
  EXPECT_THAT(log(), HasSubstr(config_.metrics_listen));
  EXPECT_THAT(get("/v1/status").body, HasSubstr("metrics are not served"));
  EXPECT_THAT(get("/metrics").body,
              HasSubstr("holdfast_setup_incomplete{key=\"metrics_listen\"} 1"));
  ::kill(holder, SIGKILL);
  ::waitpid(holder, nullptr, 0);
  const auto serves = [this] {
    return get("/metrics").body.find("holdfast_setup_incomplete{key=\"metrics_listen\"} 0") !=
           std::string::npos;
  };
  EXPECT_TRUE(eventually(serves) || eventually(serves)) << "it is tried every five seconds";
  const auto client = RawClient::over_tcp(metrics_port_);
  client.send("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(test::parse_reply(client.read_all()).status, 200);
  EXPECT_THAT(get("/v1/status").body, Not(HasSubstr("metrics are not served")));
}

TEST_F(Lifecycle, WhatIsNotADeadSocketOfOursIsLeftAlone) {
  fs::create_directories(config_.run_dir);
  std::ofstream{socket()} << "precious";
  launch();
  EXPECT_EQ(wait(), 1);
  EXPECT_THAT(log(), HasSubstr("is not a socket"));
  EXPECT_EQ(*os::read_file(socket()), "precious");

  fs::remove(socket());
  fs::create_symlink("/etc/passwd", socket());
  launch();
  EXPECT_EQ(wait(), 1);
  EXPECT_TRUE(fs::is_symlink(socket()));
}

TEST_F(Lifecycle, ADirectoryThatOthersCouldWriteIsMended) {
  fs::create_directories(config_.run_dir);
  ASSERT_EQ(::chmod(config_.run_dir.c_str(), 0777), 0);
  start();
  EXPECT_EQ(fs::status(config_.run_dir).permissions(), static_cast<fs::perms>(0755));
  EXPECT_THAT(log(), HasSubstr("event=mode_mended what=run_dir"));
}

TEST_F(Lifecycle, ADirectoryInWhichOthersPutSomethingIsRefused) {
  fs::create_directories(config_.run_dir);
  std::ofstream{fs::path{config_.run_dir} / "planted"} << "theirs";
  ASSERT_EQ(::chown((fs::path{config_.run_dir} / "planted").c_str(), 12345, 12345), 0);
  ASSERT_EQ(::chmod(config_.run_dir.c_str(), 0777), 0);
  launch();
  EXPECT_EQ(wait(), 1);
  EXPECT_THAT(log(), HasSubstr("planted in it is not the agent's"));
}

TEST_F(Lifecycle, ASocketThatWasRemovedComesBack) {
  write_config("");
  start();
  fs::remove(socket());
  const auto limit = clock_.boot() + 10s;
  while (clock_.boot() < limit && get("/v1/status").status != 200)
    (void)os::sleep_until(clock_.boot() + 50ms, {});
  EXPECT_EQ(get("/v1/status").status, 200) << log();

  fs::remove(socket());
  signal(SIGHUP);
  EXPECT_TRUE(eventually([this] { return get("/v1/status").status == 200; }))
      << "at once on SIGHUP";
}

TEST_F(Lifecycle, ReloadsWhatCanBeReloaded) {
  write_config("retain: 5\n");
  start();
  write_config("retain: 7\n");
  signal(SIGHUP);
  EXPECT_TRUE(eventually([this] {
    return get("/v1/events").body.find("retain 7") != std::string::npos;
  })) << log();
  EXPECT_THAT(log(), HasSubstr("event=reloaded"));
  EXPECT_THAT(get("/metrics").body, HasSubstr("holdfast_config_last_reload_successful 1"));
}

TEST_F(Lifecycle, KeepsTheOldConfigurationWhenTheNewOneIsBroken) {
  write_config("");
  start();
  write_config("retian: 7\n");
  signal(SIGHUP);
  EXPECT_TRUE(
      eventually([this] { return log().find("event=reload_failed") != std::string::npos; }));
  EXPECT_THAT(log(), HasSubstr("retain"));
  EXPECT_EQ(get("/v1/status").status, 200);
  EXPECT_THAT(get("/metrics").body, HasSubstr("holdfast_config_last_reload_successful 0"));
}

TEST_F(Lifecycle, KeepsTheOldConfigurationWhenOthersMayWriteTheNewOne) {
  write_config("retain: 5\n");
  start();
  write_config("retain: 7\n");
  ASSERT_EQ(::chmod((dir() / "agent.yaml").c_str(), 0666), 0);
  signal(SIGHUP);
  EXPECT_TRUE(
      eventually([this] { return log().find("event=reload_failed") != std::string::npos; }));
  EXPECT_THAT(log(), HasSubstr("chmod go-w"));
  EXPECT_EQ(log().find("event=reloaded"), std::string::npos);
  EXPECT_EQ(get("/v1/status").status, 200);
}

TEST_F(Lifecycle, SaysWhatOnlyARestartChanges) {
  write_config("");
  start();
  write_config("instance: other\n");
  signal(SIGHUP);
  EXPECT_TRUE(
      eventually([this] { return log().find("event=reload_incomplete") != std::string::npos; }));
}

/// The service manager's end of sd_notify.
class SdNotifyState : public Lifecycle {
 protected:
  void SetUp() override {
    Lifecycle::SetUp();
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, (dir() / "notify").c_str(), sizeof(address.sun_path) - 1);
    fd_ = os::UniqueFd{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    ASSERT_EQ(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    environment_ = {"NOTIFY_SOCKET=" + (dir() / "notify").string(), "WATCHDOG_USEC=400000"};
  }
  /// Everything received so far.
  std::string received() {
    std::array<char, 4096> buffer;
    for (;;) {
      const auto got = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
      if (got <= 0) return all_;
      all_.append(buffer.data(), static_cast<std::size_t>(got)).append("\n");
    }
  }
  std::size_t pings() {
    std::size_t count = 0;
    const auto text = received();
    for (auto at = text.find("WATCHDOG=1"); at != std::string::npos;
         at = text.find("WATCHDOG=1", at + 1))
      ++count;
    return count;
  }
  os::UniqueFd fd_;
  std::string all_;
};

TEST_F(SdNotifyState, TellsTheServiceManagerWhereItIs) {
  engine_.ready_after = 300ms;
  launch();
  (void)os::sleep_until(clock_.boot() + 150ms, {});
  EXPECT_THAT(received(), Not(HasSubstr("READY=1"))) << "not before what runs is adopted";
  EXPECT_THAT(received(), HasSubstr("EXTEND_TIMEOUT_USEC="));
  EXPECT_EQ(get("/readyz").status, 503);
  EXPECT_TRUE(eventually([this] { return received().find("READY=1") != std::string::npos; }));
  EXPECT_TRUE(eventually(
      [this] { return received().find("STATUS=empty, generation 0") != std::string::npos; }));
  signal(SIGTERM);
  EXPECT_EQ(wait(), 0);
  EXPECT_THAT(received(), HasSubstr("STOPPING=1"));
}

TEST_F(SdNotifyState, FeedsTheWatchdogOnlyWhileTheEngineMoves) {
  engine_.dead_if_exists = dir() / "dead";
  start();
  EXPECT_TRUE(eventually([this] { return pings() >= 3; }));
  std::ofstream{dir() / "dead"} << "x";
  (void)os::sleep_until(clock_.boot() + 300ms, {});
  const auto before = pings();
  (void)os::sleep_until(clock_.boot() + 800ms, {});
  EXPECT_EQ(pings(), before);
  EXPECT_EQ(get("/healthz").status, 503);
}

}  // namespace
}  // namespace holdfast
