// The limits of a relay that take hours or half a minute in a session.
#include "agent/exec/relay.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <array>

#include "common/os/process.hpp"

namespace holdfast::agent::exec {
namespace {

class Relays : public ::testing::Test {
 protected:
  Relay relay(RelayLimits limits) {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()), 0);
    client_ = os::UniqueFd{ends[0]};
    theirs_ = os::UniqueFd{ends[1]};
    auto output = *os::make_pipe();
    output_ = std::move(output.second);
    CommandEnds command;
    command.output = std::move(output.first);
    return Relay{{.client = theirs_.get(),
                  .control = control_.get(),
                  .command = command_.get(),
                  .ends = std::move(command),
                  .terminal = false,
                  .limits = limits}};
  }

  os::UniqueFd client_;
  os::UniqueFd theirs_;
  os::UniqueFd output_;
  os::UniqueFd control_{::eventfd(0, EFD_CLOEXEC)};
  os::UniqueFd command_{::eventfd(0, EFD_CLOEXEC)};  ///< readable: it has ended
};

TEST_F(Relays, EndWhenNothingMoves) {
  auto idle = relay({.idle = Milliseconds{150}});
  const SystemClock clock;
  const auto began = clock.boot();
  EXPECT_EQ(idle.run(), RelayEnd::idle);
  EXPECT_GE(clock.boot() - began, Milliseconds{140});
}

TEST_F(Relays, GiveUpAReaderThatTakesNothingOnceTheCommandHasEnded) {
  auto full = relay({.flush = Milliseconds{200}});
  ::fcntl(output_.get(), F_SETPIPE_SZ, 1 << 20);
  const std::string much(1U << 20, 'x');
  ASSERT_EQ(::write(output_.get(), much.data(), much.size()), static_cast<ssize_t>(much.size()));
  ASSERT_EQ(::eventfd_write(command_.get(), 1), 0);
  EXPECT_EQ(full.run(), RelayEnd::command_ended);
  output_.reset();
  const SystemClock clock;
  const auto began = clock.boot();
  EXPECT_FALSE(full.drain(full.limits().flush));
  EXPECT_LT(clock.boot() - began, Milliseconds{5'000});
}

TEST_F(Relays, DoNotWaitForWhoeverKeepsThePipeOpen) {
  auto open = relay({.drain = Milliseconds{100}});
  ASSERT_EQ(::write(output_.get(), "last", 4), 4);
  ASSERT_EQ(::eventfd_write(command_.get(), 1), 0);
  EXPECT_EQ(open.run(), RelayEnd::command_ended);
  EXPECT_TRUE(open.drain(open.limits().flush));
  std::array<char, 64> got{};
  EXPECT_EQ(::recv(client_.get(), got.data(), got.size(), 0), 9);
  EXPECT_STREQ(got.data() + 5, "last");
}

}  // namespace
}  // namespace holdfast::agent::exec
