// exec as the daemon's shell carries it: who begins, on which connection, how many at a time.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/api/codec.hpp"
#include "proto/api/exec_frames.hpp"
#include "tests/support/daemon_fixture.hpp"

namespace holdfast {
namespace {

namespace api = proto::api;
using test::RawClient;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr const char* kDeploy = "audio";
constexpr uid_t kUser = 65533;

class Exec : public test::DaemonTest {
 protected:
  void SetUp() override {
    DaemonTest::SetUp();
    config_.groups = {{"deploy", kDeploy}};
    start();
    ASSERT_EQ(::chmod(dir().c_str(), 0755), 0);
    ASSERT_EQ(request("POST", "/v1/apply", test::apply_body("one")).status, 202);
  }
  static std::string asked(
      const std::string& command, const std::string& rest = "",
      const std::string& header = "Connection: Upgrade\r\nUpgrade: holdfast-exec\r\n") {
    const auto body =
        fmt::format(R"({{"service":"web","instance":"web-1","command":["{}"]{}}})", command, rest);
    return fmt::format("POST /v1/exec HTTP/1.1\r\nHost: x\r\n{}Content-Length: {}\r\n\r\n{}",
                       header, body.size(), body);
  }
  RawClient begin(const std::string& command) {
    auto client = RawClient::over_socket(socket());
    client.send(asked(command));
    return client;
  }
  /// Sessions of a user with the role; how many began.
  int sessions_of_a_user(int wanted) {
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      int began = 0;
      const gid_t group = getgrnam(kDeploy)->gr_gid;
      if (::setgroups(1, &group) != 0 || ::setgid(kUser) != 0 || ::setuid(kUser) != 0) ::_exit(1);
      std::vector<RawClient> held;
      for (int i = 0; i < wanted; ++i) {
        held.push_back(begin("wait"));
        const auto head = held.back().read_until("\r\n\r\n");
        if (head.find(" 101 ") != std::string::npos) ++began;
      }
      // They are held until root has had its own.
      ::write(ends[1], &began, sizeof began);
      ::pause();
    }
    user_ = child;
    int began = -1;
    EXPECT_EQ(::read(ends[0], &began, sizeof began), static_cast<ssize_t>(sizeof began));
    ::close(ends[0]);
    ::close(ends[1]);
    return began;
  }
  void TearDown() override {
    if (user_ > 0) {
      ::kill(user_, SIGKILL);
      ::waitpid(user_, nullptr, 0);
    }
    DaemonTest::TearDown();
  }

  pid_t user_ = -1;
};

TEST_F(Exec, TheConnectionGoesOnWithFramesAndEndsWithTheCode) {
  const auto client = begin("date");
  const auto all = client.read_all();
  EXPECT_THAT(all, AllOf(HasSubstr("HTTP/1.1 101 Switching Protocols\r\n"),
                         HasSubstr("Upgrade: holdfast-exec\r\n")));
  api::ExecFrameReader reader{api::ExecSender::agent};
  reader.feed(all.substr(all.find("\r\n\r\n") + 4));
  EXPECT_EQ(reader.next()->bytes, "hello date");
  const auto end = reader.next();
  ASSERT_TRUE(end);
  EXPECT_EQ(api::decode<api::ExecEnd>(end->bytes)->exit_code, 7U);
  EXPECT_TRUE(eventually([this] {
    const auto events = get("/v1/events").body;
    return events.find("event: exec_started") != std::string::npos &&
           events.find("event: exec_ended") != std::string::npos;
  }));
}

TEST_F(Exec, OnlyWhoAsksForFramesGetsThem) {
  const auto plain = raw(asked("date", "", ""));
  EXPECT_EQ(plain.status, 400);
  EXPECT_THAT(plain.body, HasSubstr("Upgrade: holdfast-exec"));
  const auto other = raw(asked("date", "", "Connection: Upgrade\r\nUpgrade: websocket\r\n"));
  EXPECT_EQ(other.status, 400);
  EXPECT_EQ(raw(asked("date", R"(,"workdir":"tmp")")).status, 400);
  EXPECT_EQ(raw(asked("date", R"(,"unknown":1)")).status, 400);
  EXPECT_EQ(raw(asked("date") + "early").status, 400) << "bytes before the 101";
  EXPECT_EQ(get("/v1/events").body.find("exec_started"), std::string::npos);
}

TEST_F(Exec, AUserHasSixSessionsAndRootFindsAPlaceAllTheSame) {
  EXPECT_EQ(sessions_of_a_user(10), 6);
  std::vector<RawClient> held;
  for (int i = 0; i < 8; ++i) {
    held.push_back(begin("wait"));
    EXPECT_THAT(held.back().read_until("\r\n\r\n"), HasSubstr(" 101 ")) << i;
  }
  EXPECT_EQ(get("/v1/status").status, 200) << "sessions hold up nobody else";
}

TEST_F(Exec, WhoGoesFreesTheirPlace) {
  for (int round = 0; round < 40; ++round)
    EXPECT_THAT(begin("wait").read_until("hello wait"), HasSubstr("hello wait")) << round;
}

TEST_F(Exec, AStopOfTheDaemonWaitsForNoSession) {
  const auto client = begin("wait");
  EXPECT_THAT(client.read_until("hello wait"), HasSubstr("hello wait"));
  signal(SIGTERM);
  EXPECT_EQ(wait(), 0);
  EXPECT_THAT(client.read_all(), HasSubstr("\"exit_code\":137"));
}

}  // namespace
}  // namespace holdfast
