// holdfast exec, with an agent that says what is written here.
#include "proto/api/exec_frames.hpp"
#include "tests/component/agent/cli/holdfast_run.hpp"

namespace holdfast::test {
namespace {

using proto::api::exec_frame;
using proto::api::ExecFrame;

class ExecCommandTest : public HoldfastTest {
 protected:
  static Canned session(const std::string& frames, bool hold = false) {
    return {
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "
        "holdfast-exec\r\n\r\n" +
            frames,
        hold};
  }
  static std::string ended(const std::string& json) { return exec_frame(ExecFrame::ended, json); }
};

TEST_F(ExecCommandTest, KeepsTheStreamsApartAndEndsWithTheCodeOfTheCommand) {
  FakeAgent agent{socket()};
  agent.on<"exec">({session(exec_frame(ExecFrame::output, "out\x1b[1m\n") +
                            exec_frame(ExecFrame::error_output, "err\n") +
                            ended(R"({"exit_code":42,"error":null})"))});
  const auto ran = holdfast({"exec", "web", "-e", "A=b c", "--", "sh", "-c", "exit 42", "--help"});
  EXPECT_EQ(ran.exit, 42);
  EXPECT_EQ(ran.out, "out\x1b[1m\n") << "what the command writes is passed on as it is";
  EXPECT_EQ(ran.err, "err\n");
  ASSERT_EQ(agent.requests().size(), 1U);
  EXPECT_TRUE(contains(
      agent.requests().front(),
      R"("command":["sh","-c","exit 42","--help"],"user":"","workdir":"","env":["A=b c"],"input":false)"))
      << agent.requests().front();
}

TEST_F(ExecCommandTest, SaysWhyACommandDidNotRunOrNotToItsEnd) {
  FakeAgent agent{socket()};
  agent.on<"exec">(
      {session(ended(
           R"({"exit_code":127,"error":{"code":"E_NOT_FOUND","message":"no such program","next":"look"}})")),
       session(ended(
           R"({"exit_code":137,"error":{"code":"E_CONFLICT","message":"web-1 is removed","next":""}})")),
       session(ended(
           R"({"exit_code":0,"error":{"code":"E_UNREACHABLE","message":"the agent has ended","next":""}})")),
       session(exec_frame(ExecFrame::output, "half")), session("\x7fnonsense"),
       json_answer(403, R"({"code":"E_PERM","message":"not you","next":"ask"})")});
  const auto missing = holdfast({"exec", "web", "--", "x"});
  EXPECT_EQ(missing.exit, 127);
  EXPECT_EQ(missing.err, "error: no such program\n  next: look\n");
  EXPECT_EQ(holdfast({"exec", "web", "--", "x"}).exit, 137);
  EXPECT_EQ(holdfast({"exec", "web", "--", "x"}).exit, 7);
  const auto cut = holdfast({"exec", "web", "--", "x"});
  EXPECT_EQ(cut.exit, 7);
  EXPECT_EQ(cut.out, "half");
  EXPECT_TRUE(contains(cut.err, "how the command ended is not known")) << cut.err;
  EXPECT_EQ(holdfast({"exec", "web", "--", "x"}).exit, 1);
  EXPECT_EQ(holdfast({"exec", "web", "--", "x"}).exit, 8);
}

TEST_F(ExecCommandTest, NeedsACommandAndATerminalForATerminal) {
  FakeAgent agent{socket()};
  EXPECT_EQ(holdfast({"exec", "web"}).exit, 2);
  EXPECT_EQ(holdfast({"exec", "web", "--"}).exit, 2);
  const auto piped = holdfast({"exec", "-it", "web", "--", "sh"}, "input");
  EXPECT_EQ(piped.exit, 2);
  EXPECT_TRUE(contains(piped.err, "leave out -t")) << piped.err;
  EXPECT_TRUE(agent.requests().empty());
}

/// The reader of what it writes has had enough, as `head` has.
TEST_F(ExecCommandTest, EndsWhenItsOutputIsClosed) {
  FakeAgent agent{socket()};
  agent.on<"exec">({session(exec_frame(ExecFrame::output, std::string(65'536, 'x')) +
                                exec_frame(ExecFrame::output, std::string(65'536, 'x')),
                            true)});
  auto pipe = *os::make_pipe();
  auto options = spawn({"exec", "web", "--", "yes"});
  options.fds = {{pipe.second.get(), 1}};
  auto program = os::Process::spawn(options);
  ASSERT_TRUE(program);
  pipe.second.reset();
  char byte = 0;
  EXPECT_EQ(::read(pipe.first.get(), &byte, 1), 1);
  pipe.first.reset();
  const auto end = program->wait(SystemClock{}.boot() + Milliseconds{5'000}, {});
  ASSERT_TRUE(end);
  EXPECT_FALSE(os::succeeded(*end));
}

}  // namespace
}  // namespace holdfast::test
