// Commands in real containers, with the client's side of the connection in the test.
#include <poll.h>
#include <sys/socket.h>

#include <future>

#include "proto/api/codec.hpp"
#include "proto/api/exec_frames.hpp"
#include "tests/component/deploy/runtime/fixture.hpp"

namespace holdfast::test {
namespace {

namespace api = proto::api;
using rt::InstanceId;
using ::testing::AllOf;
using ::testing::HasSubstr;

class ExecSessions : public RuntimeTest {
 protected:
  struct Ended {
    std::string output;
    api::ExecEnd end;
  };
  static api::ExecRequest asked(const std::string& script) {
    api::ExecRequest request;
    request.service = "web";
    request.instance = "web-1";
    request.command = {"/bin/sh", "-c", script};
    return request;
  }
  Result<std::unique_ptr<rt::ExecSession>> prepare(const api::ExecRequest& request) {
    return runtime_->exec_sessions().prepare(request);
  }
  /// Begins, and what it says until its end.
  std::future<Ended> begin(const api::ExecRequest& request) {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    os::UniqueFd theirs{ends[1]};
    ::fcntl(theirs.get(), F_SETFL, O_NONBLOCK);
    auto session = prepare(request);
    if (!session) ADD_FAILURE() << session.error().to_string();
    return std::async(
        std::launch::async, [session = std::move(*session), theirs = std::move(theirs),
                             client = os::UniqueFd{ends[0]}]() mutable {
          const std::jthread carrier{[&] { (void)session->run(std::move(theirs), {}); }};
          return listen(client);
        });
  }
  static Ended listen(const os::UniqueFd& client) {
    Ended ended;
    api::ExecFrameReader reader{api::ExecSender::agent};
    std::array<char, 65'536> piece;
    for (ssize_t got = 0; (got = ::recv(client.get(), piece.data(), piece.size(), 0)) > 0;) {
      reader.feed({piece.data(), static_cast<std::size_t>(got)});
      while (auto frame = reader.next()) {
        if (frame->kind != api::ExecFrame::ended) {
          ended.output += frame->bytes;
        } else if (auto end = api::decode<api::ExecEnd>(frame->bytes)) {
          ended.end = *end;
        }
      }
    }
    return ended;
  }
  Ended run(const api::ExecRequest& request) { return begin(request).get(); }
  /// A session that has begun and goes on.
  std::future<Ended> begin_to_wait() {
    auto ended = begin(asked("touch /tmp/up; sleep 600"));
    EXPECT_TRUE(eventually(
        [&] { return fs::exists(fmt::format("/proc/{}/root/tmp/up", see("web-1").pid)); }));
    return ended;
  }
};

TEST_F(ExecSessions, AreConfinedAsTheirService) {
  create(spec("web-1", a_service(idle())));
  const auto inside = run(asked("cat /proc/self/status; exit 3"));
  EXPECT_EQ(inside.end.exit_code, 3U);
  for (const char* line : {"CapPrm:\t0000000000000000", "CapBnd:\t0000000000000000",
                           "NoNewPrivs:\t1", "Seccomp:\t2", "Uid:\t1000\t1000\t1000\t1000"})
    EXPECT_THAT(inside.output, HasSubstr(line));
  auto as_root = asked("cat /proc/self/status");
  as_root.user = "root";
  const auto root = run(as_root).output;
  for (const char* line : {"CapPrm:\t0000000000000000", "CapBnd:\t0000000000000000",
                           "NoNewPrivs:\t1", "Seccomp:\t2", "Uid:\t0\t0\t0\t0"})
    EXPECT_THAT(root, HasSubstr(line));
  auto named = asked("id; echo $HOME");
  named.user = "app";
  EXPECT_THAT(run(named).output, AllOf(HasSubstr("uid=1234(app) gid=1235(app)"),
                                       HasSubstr("2000(extra)"), HasSubstr("/home/app")));
}

TEST_F(ExecSessions, BeginOnlyWhereTheInstanceRuns) {
  EXPECT_EQ(prepare(asked("true")).error().code(), Errc::not_found);
  create(spec("web-1", a_service(idle())));
  auto other = asked("true");
  other.service = "db";
  EXPECT_EQ(prepare(other).error().code(), Errc::not_found) << "it is an instance of web";
  auto nobody = asked("true");
  nobody.user = "nobody-knows";
  EXPECT_EQ(prepare(nobody).error().code(), Errc::user);
  auto below = asked("true");
  below.workdir = "/tmp/../proc/self/fd";
  EXPECT_EQ(prepare(below).error().code(), Errc::usage);
  ASSERT_TRUE(runtime_->freeze(InstanceId{"web-1"}, {}));
  const auto frozen = prepare(asked("true"));
  EXPECT_EQ(frozen.error().code(), Errc::conflict);
  EXPECT_THAT(frozen.error().what(), HasSubstr("frozen"));
  ASSERT_TRUE(runtime_->thaw(InstanceId{"web-1"}));
  const auto prepared = prepare(asked("true"));
  ASSERT_TRUE(prepared);
  ASSERT_TRUE(runtime_->stop(InstanceId{"web-1"}, {}, {}));
  EXPECT_EQ(prepare(asked("true")).error().code(), Errc::conflict);
}

TEST_F(ExecSessions, EndBeforeTheirInstanceIsFrozenStoppedOrRemoved) {
  create(spec("web-1", a_service(idle())));
  auto first = begin_to_wait();
  const auto began = clock_.boot();
  ASSERT_TRUE(runtime_->freeze(InstanceId{"web-1"}, {}));
  EXPECT_LT(clock_.boot() - began, std::chrono::milliseconds{900})
      << "what is killed is not waited for";
  auto ended = first.get().end;
  EXPECT_EQ(ended.exit_code, 137U);
  ASSERT_TRUE(ended.error);
  EXPECT_THAT(ended.error->message, HasSubstr("frozen as standby"));
  ASSERT_TRUE(runtime_->thaw(InstanceId{"web-1"}));
  ::unlink(fmt::format("/proc/{}/root/tmp/up", see("web-1").pid).c_str());
  auto second = begin_to_wait();
  ASSERT_TRUE(runtime_->remove(InstanceId{"web-1"}, {}));
  ended = second.get().end;
  ASSERT_TRUE(ended.error);
  EXPECT_THAT(ended.error->message, HasSubstr("is removed"));
}

TEST_F(ExecSessions, LeaveNothingInTheDirectoryOfTheInstance) {
  create(spec("web-1", a_service(idle())));
  EXPECT_EQ(run(asked("exit 0")).end.exit_code, 0U);
  EXPECT_EQ(run(asked("nonsense")).end.exit_code, 127U);
  EXPECT_TRUE(eventually([&] {
    for (const auto& entry : fs::directory_iterator{paths().bundle(InstanceId{"web-1"})})
      if (entry.path().filename().string().starts_with("exec-")) return false;
    return true;
  }));
}

}  // namespace
}  // namespace holdfast::test
