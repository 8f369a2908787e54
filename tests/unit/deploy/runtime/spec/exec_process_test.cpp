#include "deploy/runtime/spec/exec_process.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace holdfast::deploy::runtime {
namespace {

namespace json = boost::json;

constexpr const char* kConfig = R"({"process":{"terminal":false,
  "user":{"uid":1000,"gid":1000,"additionalGids":[7]},"args":["/serve"],"cwd":"/srv",
  "env":["PATH=/bin","HOME=/home/app","V=1"],"noNewPrivileges":true,"oomScoreAdj":100,
  "rlimits":[{"type":"RLIMIT_CORE","soft":0,"hard":0}],
  "capabilities":{"bounding":["CAP_CHOWN","CAP_NET_BIND_SERVICE"],"effective":["CAP_NET_BIND_SERVICE"],
    "permitted":["CAP_NET_BIND_SERVICE"],"inheritable":["CAP_NET_BIND_SERVICE"],"ambient":["CAP_NET_BIND_SERVICE"]}}})";

json::object made(const ExecProcess& process) {
  const auto text = exec_process_json(kConfig, process);
  if (!text) {
    ADD_FAILURE() << text.error().to_string();
    return {};
  }
  return json::parse(*text).as_object();
}

TEST(ExecProcesses, DifferOnlyInWhatWasAskedFor) {
  auto process = made({.args = {"sh"}});
  auto first = json::parse(kConfig).as_object().at("process").as_object();
  first["args"] = json::array{"sh"};
  EXPECT_EQ(process, first);
}

TEST(ExecProcesses, HaveTheVariablesDirectoryAndTerminalThatWereAskedFor) {
  const auto process = made({.args = {"sh", "-c", "x"},
                             .env = {"V=2=3", "W="},
                             .user = {},
                             .cwd = "/tmp",
                             .console = ConsoleSize{24, 80}});
  EXPECT_EQ(json::serialize(process.at("env")), R"(["PATH=/bin","HOME=/home/app","V=2=3","W="])");
  EXPECT_EQ(process.at("cwd"), "/tmp");
  EXPECT_EQ(process.at("terminal"), true);
  EXPECT_EQ(json::serialize(process.at("consoleSize")), R"({"height":24,"width":80})");
}

/// What the first process would have as that user, and never more than it may ever get.
TEST(ExecProcesses, AnotherUserHasTheCapabilitiesOfThatUser) {
  const auto sets = [](std::uint32_t uid) {
    return made({.args = {"sh"}, .user = User{.uid = uid, .gid = 5, .groups = {9}, .home = "/h"}});
  };
  const auto root = sets(0);
  EXPECT_EQ(root.at("capabilities").at("effective"), root.at("capabilities").at("bounding"));
  EXPECT_EQ(root.at("capabilities").at("permitted"), root.at("capabilities").at("bounding"));
  EXPECT_EQ(json::serialize(root.at("user")), R"({"uid":0,"gid":5,"additionalGids":[9]})");
  EXPECT_EQ(root.at("env").as_array().at(1), "HOME=/h");
  EXPECT_EQ(root.at("noNewPrivileges"), true);
  const auto other = sets(33);
  EXPECT_EQ(other.at("capabilities").at("effective"), other.at("capabilities").at("ambient"));
  EXPECT_EQ(other.at("capabilities").at("bounding"), root.at("capabilities").at("bounding"));
}

TEST(ExecProcesses, AConfigurationThatIsNoneIsAnError) {
  EXPECT_FALSE(exec_process_json("{}", {.args = {"sh"}}));
  EXPECT_FALSE(exec_process_json("[", {.args = {"sh"}}));
}

}  // namespace
}  // namespace holdfast::deploy::runtime
