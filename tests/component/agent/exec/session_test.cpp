// holdfast-exec as a program, with a shell in place of the OCI runtime: it leaves the command
// behind and writes down its pid, as `runc exec --detach` does.
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include <optional>

#include "common/os/environment.hpp"
#include "common/os/file.hpp"
#include "common/os/process.hpp"
#include "proto/api/exec_frames.hpp"

namespace holdfast::agent::exec {
namespace {

using proto::api::exec_frame;
using proto::api::ExecFrame;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr Milliseconds kSoon{10'000};

class Sessions : public ::testing::Test {
 protected:
  [[nodiscard]] std::string path(std::string_view name) const {
    return (dir_.path() / name).string();
  }

  /// `command` runs with `list` appended to by whoever says `join`.
  void begin(const std::string& command, bool input = true, const std::string& runtime_end = "") {
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    client_ = os::UniqueFd{ends[0]};
    const os::UniqueFd theirs{ends[1]};
    ::fcntl(theirs.get(), F_SETFL, O_NONBLOCK);
    auto control = *os::make_pipe();
    auto result = *os::make_pipe();
    control_ = std::move(control.second);
    result_ = std::move(result.first);
    ASSERT_TRUE(os::write_atomic(path("procs"), "", 0600, os::Durability::lazy));
    ASSERT_TRUE(os::write_atomic(
        path("command"),
        fmt::format("join() {{ echo $$ >>{}; }}\njoin\n{}\n", path("procs"), command), 0600,
        os::Durability::lazy));
    const auto runtime = runtime_end.empty() ? fmt::format(
                                                   "exec 3<&0; HOLDFAST_EXEC=t-1 setsid sh {0} <&3 "
                                                   "3<&- & echo $! >{1}.new; mv {1}.new {1}",
                                                   path("command"), path("pid"))
                                             : runtime_end;
    auto spawned = os::Process::spawn(
        {.argv = {os::environment("HOLDFAST_BIN").value_or("bin") + "/holdfast-exec",
                  "HOLDFAST_EXEC=t-1", path("procs"), path("pid"), "-", input ? "1" : "0", "0", "0",
                  R"({"farewell":true})", "--", "/bin/sh", "-c", runtime},
         .env = {os::kChildPath},
         .fds = {{control.first.get(), 0}, {result.second.get(), 1}, {2, 2}, {theirs.get(), 3}},
         .directory = "/",
         .new_session = true});
    ASSERT_TRUE(spawned) << spawned.error().to_string();
    process_.emplace(std::move(*spawned));
  }

  void send(const std::string& bytes) const {
    ASSERT_EQ(::send(client_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  /// The next frame; none: the connection has ended.
  std::optional<proto::api::ExecFrameReader::Frame> next() {
    for (;;) {
      if (auto frame = reader_.next()) return frame;
      pollfd waiting{client_.get(), POLLIN, 0};
      if (::poll(&waiting, 1, static_cast<int>(kSoon.count())) != 1) return std::nullopt;
      std::array<char, 65'536> piece;
      const auto got = ::recv(client_.get(), piece.data(), piece.size(), 0);
      if (got <= 0) return std::nullopt;
      reader_.feed({piece.data(), static_cast<std::size_t>(got)});
    }
  }
  std::string output() {
    std::string text;
    while (auto frame = next()) {
      if (frame->kind == ExecFrame::output) text += frame->bytes;
      if (frame->kind == ExecFrame::error_output) text += "!" + frame->bytes;
      if (frame->kind == ExecFrame::input_closed) text += "<closed>";
    }
    return text;
  }
  /// What it says to the agent, once it has ended.
  std::string verdict() {
    const auto ended = process_->wait(SystemClock{}.boot() + kSoon, {});
    EXPECT_TRUE(ended && os::succeeded(*ended));
    std::array<char, 128> line{};
    const auto got = ::read(result_.get(), line.data(), line.size());
    return {line.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0))};
  }
  /// Those of the session that live.
  [[nodiscard]] int alive() const {
    int count = 0;
    const auto text = os::read_file(path("procs"));
    for (std::size_t at = 0; text && at < text->size(); at = text->find('\n', at) + 1)
      count += ::kill(std::atoi(text->c_str() + at), 0) == 0 ? 1 : 0;
    return count;
  }
  [[nodiscard]] bool eventually_alone() const {
    const SystemClock clock;
    for (const auto until = clock.boot() + kSoon; clock.boot() < until;) {
      if (alive() == 0) return true;
      (void)os::sleep_until(clock.boot() + Milliseconds{20}, {});
    }
    return false;
  }

  os::TempDir dir_ = *os::TempDir::create("/tmp", "hf-exec");
  os::UniqueFd client_;
  os::UniqueFd control_;
  os::UniqueFd result_;
  std::optional<os::Process> process_;
  proto::api::ExecFrameReader reader_{proto::api::ExecSender::agent};
};

TEST_F(Sessions, CarryBothOutputsApartAndTheCode) {
  begin("echo out; sleep 0.1; echo err >&2; exit 7");
  EXPECT_EQ(output(), "out\n!err\n");
  EXPECT_EQ(verdict(), "exited 7\n");
}

TEST_F(Sessions, ASignalIs128AndItsNumber) {
  begin("sleep 0.2; kill -TERM $$");
  EXPECT_EQ(verdict(), "exited 143\n");
}

TEST_F(Sessions, InputEndsWhereTheClientSaysSo) {
  begin("cat; echo end");
  send(exec_frame(ExecFrame::input, "one ") + exec_frame(ExecFrame::input, "two ") +
       exec_frame(ExecFrame::input_end));
  EXPECT_EQ(output(), "one two end\n");
  EXPECT_EQ(verdict(), "exited 0\n");
}

TEST_F(Sessions, InputAfterItsEndAndInputThatNobodyAskedForEndTheSession) {
  begin("join; sleep 60");
  send(exec_frame(ExecFrame::input_end) + exec_frame(ExecFrame::input, "more"));
  EXPECT_THAT(verdict(), StartsWith("bad_frame "));
  begin("sleep 60", false);
  send(exec_frame(ExecFrame::input, "x"));
  EXPECT_THAT(verdict(), StartsWith("bad_frame "));
  begin("sleep 60");
  send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_THAT(verdict(), StartsWith("bad_frame "));
  EXPECT_TRUE(eventually_alone());
}

TEST_F(Sessions, WhoSendsWhatNobodyReadsIsToldAndGetsTired) {
  begin("exec <&-; echo closed; sleep 60");
  EXPECT_EQ(next()->bytes, "closed\n");
  const auto frame = exec_frame(ExecFrame::input, std::string(65'536, 'x'));
  send(frame);
  EXPECT_EQ(next()->kind, ExecFrame::input_closed);
  for (int i = 0; i < 17; ++i)
    (void)::send(client_.get(), frame.data(), frame.size(), MSG_NOSIGNAL);
  EXPECT_THAT(verdict(), StartsWith("bad_frame "));
}

TEST_F(Sessions, WhoDoesNotReadHoldsTheCommandUp) {
  begin(fmt::format("yes | head -c 100000000 | tee {}; echo $? >{}", path("all"), path("done")));
  const SystemClock clock;
  (void)os::sleep_until(clock.boot() + Milliseconds{700}, {});
  const auto status = os::read_file(fmt::format("/proc/{}/status", process_->pid()));
  const auto at = status->find("VmRSS:");
  EXPECT_LT(std::atoi(status->c_str() + at + 6), 12'000);
  EXPECT_LT(std::filesystem::file_size(path("all")), 4U << 20);
  EXPECT_FALSE(std::filesystem::exists(path("done")));
  std::size_t got = 0;
  while (auto frame = next()) got += frame->bytes.size();
  EXPECT_EQ(got, 100'000'000U);
  EXPECT_EQ(verdict(), "exited 0\n");
}

TEST_F(Sessions, WithTheClientGoesTheCommandAfterItWasAsked) {
  begin(fmt::format("trap 'echo asked >{}; exit 1' TERM; join; while :; do sleep 0.05; done",
                    path("asked")));
  (void)os::sleep_until(SystemClock{}.boot() + Milliseconds{300}, {});
  client_.reset();
  EXPECT_THAT(verdict(), StartsWith("client_gone "));
  EXPECT_TRUE(std::filesystem::exists(path("asked")));
  EXPECT_EQ(alive(), 0);
}

TEST_F(Sessions, WhoIgnoresThatAndWhoBecameADaemonIsKilled) {
  const auto child =
      fmt::format("trap \"\" TERM; echo $$ >>{}; while :; do sleep 0.05; done", path("procs"));
  begin(fmt::format("trap '' TERM; setsid sh -c '{0}' & sh -c '{0}' & echo up; wait", child));
  EXPECT_EQ(next()->bytes, "up\n");
  (void)os::sleep_until(SystemClock{}.boot() + Milliseconds{300}, {});
  EXPECT_EQ(alive(), 3);
  client_.reset();
  EXPECT_EQ(verdict(), "client_gone 137\n");
  EXPECT_TRUE(eventually_alone());
}

TEST_F(Sessions, WhatTheCommandLeavesBehindIsKilledWhenItEnds) {
  begin(fmt::format("sh -c 'echo $$ >>{}; exec sleep 60' & sleep 0.3; echo out; exit 4",
                    path("procs")));
  EXPECT_EQ(output(), "out\n");
  EXPECT_EQ(verdict(), "exited 4\n");
  EXPECT_TRUE(eventually_alone());
}

TEST_F(Sessions, TheAgentEndsOneByAByte) {
  begin("join; echo up; sleep 60");
  EXPECT_EQ(next()->bytes, "up\n");
  ASSERT_TRUE(os::write_all(control_.get(), "x"));
  EXPECT_EQ(verdict(), "told 137\n");
  EXPECT_EQ(alive(), 0);
}

TEST_F(Sessions, WithoutAnAgentTheClientIsToldByItself) {
  begin("echo up; sleep 60");
  EXPECT_EQ(next()->bytes, "up\n");
  control_.reset();
  const auto end = next();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->kind, ExecFrame::ended);
  EXPECT_EQ(end->bytes, R"({"farewell":true})");
  EXPECT_FALSE(next());
  EXPECT_TRUE(eventually_alone());
}

TEST_F(Sessions, ARuntimeThatFailsIsSaidAndOneThatHangsIsLeftWhenTold) {
  begin("", true, "exit 255");
  EXPECT_THAT(verdict(), StartsWith("not_started "));
  begin("", true, "sleep 60");
  ASSERT_TRUE(os::write_all(control_.get(), "x"));
  EXPECT_EQ(verdict(), "told 0\n");
}

}  // namespace
}  // namespace holdfast::agent::exec
