#include "deploy/requests/exec_request.hpp"

#include <gmock/gmock.h>

namespace holdfast::deploy::requests {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

proto::api::ExecRequest asked(std::vector<std::string> command) {
  proto::api::ExecRequest request;
  request.service = "web";
  request.command = std::move(command);
  return request;
}

std::string fault(const proto::api::ExecRequest& request) {
  const auto checked = check_exec(request);
  return checked ? "" : checked.error().what();
}

TEST(ExecRequests, BoundsArgumentsAndVariables) {
  EXPECT_EQ(fault(asked({"sh", "-c", "exit 0"})), "");
  EXPECT_THAT(fault(asked({})), HasSubstr("command is empty"));
  EXPECT_THAT(fault(asked({"", "x"})), HasSubstr("command is empty"));
  auto arguments = asked(std::vector<std::string>(kMostExecArguments, "x"));
  EXPECT_EQ(fault(arguments), "");
  arguments.command.emplace_back("x");
  EXPECT_THAT(fault(arguments), HasSubstr("1025 arguments, 1024 are the most"));
  auto long_one = asked({"sh", std::string(kMostExecBytes - 4, 'x')});
  EXPECT_EQ(fault(long_one), "");
  long_one.env = {"A=b"};
  EXPECT_THAT(fault(long_one), HasSubstr("61444 bytes, 61440 are the most"));
  auto variables = asked({"sh"});
  variables.env = std::vector<std::string>(kMostExecVariables + 1, "A=b");
  EXPECT_THAT(fault(variables), HasSubstr("257 variables, 256 are the most"));
}

TEST(ExecRequests, NamesWhatIsWrong) {
  EXPECT_THAT(fault(asked({std::string{"a\0b", 3}})), HasSubstr("NUL"));
  for (const auto* entry : {"NAME", "=x", ""}) {
    auto request = asked({"sh"});
    request.env = {entry};
    EXPECT_THAT(fault(request), HasSubstr("is not NAME=value")) << entry;
  }
  auto relative = asked({"sh"});
  relative.workdir = "tmp";
  EXPECT_THAT(fault(relative), HasSubstr("workdir is not an absolute path"));
  auto named = asked({"sh"});
  named.user = std::string(300, 'u');
  EXPECT_THAT(fault(named), HasSubstr("user"));
  auto large = asked({"sh"});
  large.rows = 70'000;
  EXPECT_THAT(fault(large), HasSubstr("size of a terminal"));
}

TEST(ExecRequests, TheRecordIsPrintableBoundedAndHoldsNoValueOfAVariable) {
  auto request = asked({"sh", "-c", "echo \x1b[2J; exit 3"});
  request.env = {"TOKEN=hidden", "B=also hidden"};
  request.user = "app";
  request.terminal = true;
  const auto detail = exec_details(request);
  EXPECT_EQ(detail.at("command"), "sh -c 'echo \\x1b[2J; exit 3'");
  EXPECT_EQ(detail.at("env"), "TOKEN B");
  EXPECT_EQ(detail.at("user"), "app");
  EXPECT_EQ(detail.at("terminal"), "yes");
  for (const auto& [name, text] : detail) EXPECT_THAT(text, Not(HasSubstr("hidden"))) << name;
  const auto long_one = exec_details(asked({"sh", std::string(50'000, 'x')}));
  EXPECT_LE(long_one.at("command").size(), kMostRecordedCommand + 3);
  auto many = asked({"sh"});
  many.env = std::vector<std::string>(200, "SOME_LONG_NAME=x");
  EXPECT_LE(exec_details(many).at("env").size(), 510U);
}

}  // namespace
}  // namespace holdfast::deploy::requests
