#include "deploy/network/cni_config.hpp"

#include <gmock/gmock.h>

namespace holdfast::deploy::network {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

const DefaultNetwork kNetwork{
    .name = "holdfast-main", .subnet = {0x0A590000, 16}, .leases_dir = "/var/lib/x \"y\""};

TEST(CniConfig, TheDefaultListIsPtpWithHostLocal) {
  EXPECT_EQ(
      default_conflist(kNetwork),
      R"({"cniVersion":"1.0.0","name":"holdfast-main","plugins":[{"ipMasq":false,"ipam":{)"
      R"("dataDir":"/var/lib/x \"y\"","ranges":[[{"subnet":"10.89.0.0/16"}]],"routes":[{"dst":"0.0.0.0/0"}],)"
      R"("type":"host-local"},"type":"ptp"}]})");
  auto with = kNetwork;
  with.firewall = FirewallPlugin::present;
  EXPECT_THAT(parse_conflist(default_conflist(with))->types, ElementsAre("ptp", "firewall"));
}

TEST(CniConfig, TheBestVersionIsTakenThatAllPluginsKnow) {
  const auto old = supported_versions(
      R"({"cniVersion":"0.4.0","supportedVersions":["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0"]})");
  const auto present = supported_versions(
      R"({"cniVersion":"1.0.0","supportedVersions":["0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]})");
  EXPECT_EQ(*common_version({present, present}), "1.0.0");
  EXPECT_EQ(*common_version({present, old}), "0.4.0");
  EXPECT_EQ(*common_version({present, {"0.3.1"}}), "0.3.1");
  EXPECT_EQ(*common_version({present, {}}), "1.0.0") << "one that does not answer";
  const auto none = common_version({present, {"0.2.0"}});
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().next_step(), HasSubstr("containernetworking-plugins"));
  for (const char* answer : {"", "[]", "no", R"({"supportedVersions":1})", R"({"code":1})"})
    EXPECT_THAT(supported_versions(answer), testing::IsEmpty()) << answer;
}

TEST(CniConfig, TheVersionOfAListIsThatOfItsPlugins) {
  auto network = kNetwork;
  network.version = "0.4.0";
  EXPECT_THAT(parse_conflist(default_conflist(network))->configs[0],
              HasSubstr(R"("cniVersion":"0.4.0")"));
  const auto own = with_version(R"({"name":"n","plugins":[{"type":"a"}]})", "0.4.0");
  EXPECT_EQ(parse_conflist(own)->version, "0.4.0");
  EXPECT_EQ(parse_conflist(R"({"cniVersion":"9","name":"n","plugins":[{"type":"a"}]})")->version,
            "1.0.0");
  EXPECT_EQ(with_version("no list", "0.4.0"), "no list");
}

TEST(CniConfig, NameAndVersionAreInjectedAndCapabilitiesRemoved) {
  const auto list = parse_conflist(
      R"({"cniVersion":"0.4.0","name":"n","plugins":[{"type":"a","capabilities":{"x":true},"key":1}]})");
  ASSERT_TRUE(list);
  EXPECT_THAT(list->configs[0], HasSubstr(R"("cniVersion":"0.4.0")"));
  EXPECT_THAT(list->configs[0], HasSubstr(R"("name":"n")"));
  EXPECT_THAT(list->configs[0], HasSubstr(R"("key":1)"));
  EXPECT_THAT(list->configs[0], Not(HasSubstr("capabilities")));
}

TEST(CniConfig, APluginReadsThePreviousResultAsPartOfOneObject) {
  const auto list = parse_conflist(R"({"name":"n","plugins":[{"type":"a"}]})");
  const auto input = plugin_input(*list, 0, R"({"ips":[]})");
  EXPECT_THAT(input, testing::EndsWith(R"(,"prevResult":{"ips":[]}})"));
  EXPECT_EQ(plugin_input(*list, 0, ""), list->configs[0]);
}

TEST(CniConfig, AListThatCannotWorkIsRefused) {
  for (const char* text :
       {"", "[]", "{}", R"({"name":"n"})", R"({"name":"n","plugins":[]})",
        R"({"name":"n","plugins":[1]})", R"({"name":"n","plugins":[{"type":"../sh"}]})",
        R"({"name":"n","plugins":[{"type":".."}]})", R"({"name":"n","plugins":[{}]})"}) {
    const auto list = parse_conflist(text);
    ASSERT_FALSE(list) << text;
    EXPECT_EQ(list.error().code(), Errc::cni) << text;
  }
}

TEST(CniConfig, AResultGivesTheAddressAndTheInterfacesOfTheHost) {
  const auto result = parse_result(
      R"({"interfaces":[{"name":"veth1"},{"name":"../x"},{"name":"eth0","sandbox":"/n"}],)"
      R"("ips":[{"address":"fd00::2/64"},{"address":"10.89.0.2/16"},{"address":"10.89.0.3/16"}]})");
  ASSERT_TRUE(result);
  EXPECT_EQ(result->address, 0x0A590002U);
  EXPECT_THAT(result->host_interfaces, ElementsAre("veth1"));
  EXPECT_FALSE(parse_result(R"({"ips":[{"address":"fd00::2/64"}]})"));
  EXPECT_FALSE(parse_result("null"));
}

TEST(CniConfig, AnErrorNamesPluginCodeAndMessageFromEitherStream) {
  const auto on_stdout =
      plugin_error("ptp", "exit code 1", R"({"code":4,"msg":"bad id","details":"x"})", "noise");
  EXPECT_EQ(on_stdout.what(), "CNI plugin ptp failed with code 4: bad id: x");
  EXPECT_EQ(plugin_error("ptp", "exit code 1", "", R"({"code":4,"msg":"bad id"})").what(),
            "CNI plugin ptp failed with code 4: bad id");
  EXPECT_EQ(plugin_error("ptp", "killed by signal 9", "", "oops\x1b[31m").what(),
            "CNI plugin ptp ended with killed by signal 9: oops\\x1b[31m");
  EXPECT_EQ(plugin_error("ptp", "exit code 2", "", "").what(),
            "CNI plugin ptp ended with exit code 2: no message");
  EXPECT_THAT(plugin_error("ptp", "exit code 1",
                           R"({"code":999,"msg":"no IP addresses available in range"})", "")
                  .next_step(),
              HasSubstr("network.subnet"));
}

TEST(CniConfig, ARecordIsReadAsItWasWritten) {
  const AttachmentRecord record{.id = "a",
                                .netns = "/n/\"q\"",
                                .conflist = "{\"x\":\"\\n\"}",
                                .result = "{}",
                                .address = 0xFFFFFFFF};
  EXPECT_EQ(*decode_record(encode(record)), record);
  EXPECT_FALSE(decode_record("{}"));
  EXPECT_FALSE(decode_record(""));
}

TEST(CniConfig, AddressesAreReadStrictly) {
  EXPECT_EQ(*parse_address("10.89.0.5"), 0x0A590005U);
  for (const char* text :
       {"", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.-4", "1.2.3.0004", "a.b.c.d", "1.2.3.4 "})
    EXPECT_FALSE(parse_address(text)) << text;
}

}  // namespace
}  // namespace holdfast::deploy::network
