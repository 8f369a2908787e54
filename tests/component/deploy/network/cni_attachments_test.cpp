#include "deploy/network/cni_attachments.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>

#include "tests/component/deploy/network/private_host.hpp"

namespace holdfast::deploy::network {
namespace {

using namespace std::chrono_literals;
using test::ask_once;
using test::kSubnet;
using test::Network;
using test::sh;
using test::TinyServer;
using testing::HasSubstr;
using testing::Not;

std::size_t count_entries(const std::filesystem::path& directory) {
  std::size_t count = 0;
  std::error_code failure;
  for (const auto& entry : std::filesystem::directory_iterator{directory, failure}) {
    const auto name = entry.path().filename().string();
    count += name != "lock" && !name.starts_with("last_reserved_ip") ? 1 : 0;
  }
  return count;
}

/// The kernel takes a namespace down in its own time after its last user left it, and its veth with
/// it.
std::string links_in_the_end() {
  auto links = sh({"ip", "link"});
  const auto deadline = SystemClock{}.boot() + 3s;
  while (links.find("veth") != std::string::npos && SystemClock{}.boot() < deadline) {
    os::sleep_until(SystemClock{}.boot() + 5ms, {});
    links = sh({"ip", "link"});
  }
  return links;
}

/// Everything that an attachment may leave on the host.
void expect_nothing_left(const Network& network) {
  EXPECT_THAT(links_in_the_end(), Not(HasSubstr("veth")));
  EXPECT_EQ(count_entries(network.dir.path() / "run/netns"), 0U);
  EXPECT_EQ(count_entries(network.dir.path() / "state/network/attachments"), 0U);
  EXPECT_EQ(count_entries(network.dir.path() / "state/network/leases/holdfast-test"), 0U);
}

TEST(CniAttachments, AnAttachedNamespaceIsReachedByItsAddressAndLeavesNothingBehind) {
  Network network;
  const auto a = network.attach("web-1");
  EXPECT_EQ(a.netns, network.dir.path() / "run/netns/web-1");
  EXPECT_EQ(a.address >> 16, kSubnet.address >> 16);
  {
    const TinyServer server{a.netns, "A", 8080};
    EXPECT_EQ(ask_once({}, a.address, 8080), "A 10.189.0.1");
    EXPECT_EQ(ask_once(a.netns, 0x7F000001, 8080), "A 127.0.0.1") << "its loopback is up";
  }
  EXPECT_TRUE(network.attachments->detach("web-1"));
  EXPECT_FALSE(network.attachments->find("web-1")->has_value());
  expect_nothing_left(network);
}

TEST(CniAttachments, TheDaemonsOwnNamespaceIsNotTouched) {
  Network network;
  const auto own = std::filesystem::read_symlink("/proc/thread-self/ns/net");
  network.attach("web-1");
  EXPECT_EQ(std::filesystem::read_symlink("/proc/thread-self/ns/net"), own);
}

TEST(CniAttachments, AttachingAndDetachingAreSafeToRepeat) {
  Network network;
  const auto first = network.attach("web-1");
  EXPECT_EQ(network.attach("web-1"), first);
  EXPECT_EQ(**network.attachments->find("web-1"), first);
  EXPECT_TRUE(network.attachments->detach("web-1"));
  EXPECT_TRUE(network.attachments->detach("web-1"));
  EXPECT_TRUE(network.attachments->detach("never-heard-of"));
}

TEST(CniAttachments, AnotherLifeOfTheAgentFindsAndDetachesWhatTheFirstAttached) {
  Network network;
  const auto first = network.attach("web-1");
  network.reopen();
  EXPECT_EQ(**network.attachments->find("web-1"), first);
  EXPECT_EQ(network.attach("web-1"), first);
  EXPECT_TRUE(network.attachments->detach("web-1"));
  expect_nothing_left(network);
}

TEST(CniAttachments, ANamespaceDeletedBehindOurBackIsNotFoundAndIsMadeAnew) {
  Network network;
  const auto first = network.attach("web-1");
  ASSERT_TRUE(unpin_netns(first.netns));
  EXPECT_FALSE(network.attachments->find("web-1")->has_value());
  const auto again = network.attach("web-1");
  const TinyServer server{again.netns, "A", 8080};
  EXPECT_EQ(ask_once({}, again.address, 8080), "A 10.189.0.1");
}

TEST(CniAttachments, DetachingWorksWhenTheNamespaceIsGone) {
  Network network;
  const auto first = network.attach("web-1");
  ASSERT_TRUE(unpin_netns(first.netns));
  EXPECT_TRUE(network.attachments->detach("web-1"));
  expect_nothing_left(network);
}

TEST(CniAttachments, ATornRecordIsTakenDownAndReplaced) {
  Network network;
  network.attach("web-1");
  ASSERT_TRUE(
      os::write_atomic(network.dir.path() / "state/network/attachments/web-1.json", "{\"id\":"));
  EXPECT_FALSE(network.attachments->find("web-1")->has_value());
  const auto again = network.attach("web-1");
  EXPECT_NE(again.address, 0U);
  EXPECT_TRUE(network.attachments->detach("web-1"));
  expect_nothing_left(network);
}

TEST(CniAttachments, ManyAtOnceGetDifferentAddresses) {
  Network network;
  constexpr int kCount = 6;
  std::array<std::optional<Attachment>, kCount> got;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kCount; ++i) {
      threads.emplace_back([&, i] {
        // Two threads an id: the second finds what the first has made.
        auto attached = network.attachments->attach(fmt::format("web-{}", i / 2));
        if (attached) got[static_cast<std::size_t>(i)] = *attached;
      });
    }
  }
  std::set<Address> addresses;
  for (const auto& attachment : got) {
    ASSERT_TRUE(attachment);
    addresses.insert(attachment->address);
  }
  EXPECT_EQ(addresses.size(), kCount / 2);
  EXPECT_EQ(*network.attachments->sweep({}), 3U);
  expect_nothing_left(network);
}

TEST(CniAttachments, SweepingDetachesUnknownIdsAndFreesAddressesNobodyHolds) {
  Network network;
  const auto kept = network.attach("kept");
  network.attach("gone");
  const auto leases = network.dir.path() / "state/network/leases/holdfast-test";
  ASSERT_TRUE(os::write_atomic(leases / "10.189.7.7", "lost-1\r\neth0"));
  EXPECT_EQ(*network.attachments->sweep({"kept"}), 1U);
  EXPECT_EQ(**network.attachments->find("kept"), kept);
  EXPECT_EQ(count_entries(leases), 1U);
  EXPECT_EQ(*network.attachments->sweep({"kept"}), 0U);
}

TEST(CniAttachments, AnIdThatIsNoPlainNameIsRefused) {
  Network network;
  for (const char* id : {"", "../x", "a/b", "-x", ".x", "a b"}) {
    EXPECT_EQ(network.attachments->attach(id).error().code(), Errc::usage) << id;
    EXPECT_EQ(network.attachments->detach(id).error().code(), Errc::usage) << id;
  }
  EXPECT_FALSE(network.attachments->attach(std::string(65, 'a')));
}

TEST(CniAttachments, AMissingPluginIsNamedWithThePackageThatHasIt) {
  const auto dir = os::TempDir::create("/tmp", "holdfast-network-test");
  const auto opened = CniAttachments::open({.state_dir = dir->path(),
                                            .run_dir = dir->path(),
                                            .cni_dir = dir->path() / "none",
                                            .subnet = kSubnet});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), Errc::cni);
  EXPECT_THAT(opened.error().to_string(), HasSubstr("none/ptp is missing"));
  EXPECT_THAT(opened.error().next_step(), HasSubstr("containernetworking-plugins"));
}

/// Real ptp first, then a plugin whose behaviour a test decides; every call is logged.
struct FaultyNetwork {
  os::TempDir dir = std::move(os::TempDir::create("/tmp", "holdfast-network-test")).value();
  std::unique_ptr<CniAttachments> attachments;

  explicit FaultyNetwork(const std::string& add, const std::string& del) {
    EXPECT_TRUE(os::make_directories(dir.path() / "cni"));
    std::filesystem::create_symlink("/usr/lib/cni/ptp", dir.path() / "cni/ptp");
    std::filesystem::create_symlink("/usr/lib/cni/host-local", dir.path() / "cni/host-local");
    behave(add, del);
    const auto leases = (dir.path() / "state/network/leases").string();
    auto opened = CniAttachments::open(
        {.state_dir = dir.path() / "state",
         .run_dir = dir.path() / "run",
         .cni_dir = dir.path() / "cni",
         .instance = "test",
         .subnet = kSubnet,
         .conflist = fmt::format(R"({{"cniVersion":"1.0.0","name":"holdfast-test","plugins":[
            {{"type":"ptp","ipam":{{"type":"host-local","ranges":[[{{"subnet":"10.189.0.0/16"}}]],"dataDir":"{}"}}}},
            {{"type":"faulty","capabilities":{{"portMappings":true}}}}]}})",
                                 leases),
         .plugin_timeout = 500ms});
    EXPECT_TRUE(opened) << opened.error().to_string();
    attachments = std::move(*opened);
  }
  ~FaultyNetwork() {
    behave("cat >/dev/null", "cat >/dev/null");
    EXPECT_TRUE(attachments->sweep({}));
  }
  void behave(const std::string& add, const std::string& del) const {
    const auto script = fmt::format(
        "#!/bin/sh\n[ $CNI_COMMAND != VERSION ] || exit 1\ncat >{0}/stdin.$CNI_COMMAND\necho "
        "$CNI_COMMAND $CNI_CONTAINERID "
        ">>{0}/calls\nenv >{0}/env\n"
        "case $CNI_COMMAND in ADD) {1};; DEL) {2};; esac\n",
        dir.path().string(), add, del);
    EXPECT_TRUE(os::write_atomic(dir.path() / "cni/faulty", script, 0700));
  }
  [[nodiscard]] std::string read(const char* name) const {
    const auto text = os::read_file(dir.path() / name);
    return text ? *text : std::string{};
  }
};

// Ubuntu 22.04 and Debian 11 have such plugins.
TEST(CniAttachments, PluginsOfAnOlderVersionAreSpokenToInTheirs) {
  const auto dir = os::TempDir::create("/tmp", "holdfast-network-test");
  ASSERT_TRUE(os::make_directories(dir->path() / "cni"));
  for (const char* type : {"ptp", "host-local"}) {
    const auto script = fmt::format(
        "#!/bin/sh\ninput=$(cat)\n"
        "if [ $CNI_COMMAND = VERSION ]; then\n"
        "  echo '{{\"cniVersion\":\"0.4.0\",\"supportedVersions\":[\"0.3.1\",\"0.4.0\"]}}'; "
        "exit\nfi\n"
        "case $input in *cniVersion*1.0.0*)\n"
        "  echo '{{\"code\":1,\"msg\":\"incompatible CNI versions\"}}'; exit 1;; esac\n"
        "echo $CNI_COMMAND >>{0}/calls\n"
        "printf %s \"$input\" | exec /usr/lib/cni/{1}\n",
        dir->path().string(), type);
    ASSERT_TRUE(os::write_atomic(dir->path() / "cni" / type, script, 0700));
  }
  auto opened = CniAttachments::open({.state_dir = dir->path() / "state",
                                      .run_dir = dir->path() / "run",
                                      .cni_dir = dir->path() / "cni",
                                      .instance = "test",
                                      .subnet = kSubnet});
  ASSERT_TRUE(opened) << opened.error().to_string();
  const auto attached = (*opened)->attach("web-1");
  ASSERT_TRUE(attached) << attached.error().to_string();
  EXPECT_NE(attached->address, 0U);
  EXPECT_TRUE((*opened)->detach("web-1"));
  EXPECT_THAT(*os::read_file(dir->path() / "calls"), AllOf(HasSubstr("ADD"), HasSubstr("DEL")));
}

constexpr const char* kFails = R"(echo '{"code":999,"msg":"no luck","details":"today"}'; exit 1)";
constexpr const char* kNothing = "true";

TEST(CniAttachments, WhenASecondPluginFailsEveryPluginIsAskedToCleanUp) {
  FaultyNetwork network{kFails, kNothing};
  const auto attached = network.attachments->attach("web-1");
  ASSERT_FALSE(attached);
  EXPECT_EQ(attached.error().code(), Errc::cni);
  EXPECT_THAT(attached.error().to_string(),
              HasSubstr("attach web-1 to the network: CNI ADD: CNI plugin faulty failed with code "
                        "999: no luck: today"));
  EXPECT_FALSE(attached.error().next_step().empty());
  EXPECT_EQ(network.read("calls"), "ADD web-1\nDEL web-1\n");
  EXPECT_THAT(sh({"ip", "link"}), Not(HasSubstr("veth")));
  EXPECT_EQ(count_entries(network.dir.path() / "run/netns"), 0U);
  EXPECT_EQ(count_entries(network.dir.path() / "state/network/attachments"), 0U);
  EXPECT_EQ(count_entries(network.dir.path() / "state/network/leases/holdfast-test"), 0U);
}

TEST(CniAttachments, APluginSeesThePreviousResultAndNothingOfOurEnvironment) {
  FaultyNetwork network{
      "echo '{\"cniVersion\":\"1.0.0\",\"ips\":[{\"address\":\"10.189.0.9/16\"}]}'", kNothing};
  const auto attached = network.attachments->attach("web-1");
  ASSERT_TRUE(attached) << attached.error().to_string();
  EXPECT_EQ(attached->address, 0x0ABD0009U) << "the last plugin has the last word";
  EXPECT_THAT(network.read("stdin.ADD"), HasSubstr("\"prevResult\":{"));
  EXPECT_THAT(network.read("stdin.ADD"), HasSubstr("\"name\":\"holdfast-test\""));
  EXPECT_THAT(network.read("stdin.ADD"), Not(HasSubstr("capabilities")));
  EXPECT_THAT(network.read("env"), Not(HasSubstr("HOME=")));
  EXPECT_TRUE(network.attachments->detach("web-1"));
  EXPECT_THAT(network.read("stdin.DEL"), HasSubstr("10.189.0.9")) << "DEL gets the final result";
}

TEST(CniAttachments, APluginThatHangsIsKilledInTimeAndCleanedUpAfter) {
  FaultyNetwork network{"sleep 60 & sleep 60", kNothing};
  const auto start = SystemClock{}.boot();
  const auto attached = network.attachments->attach("web-1");
  ASSERT_FALSE(attached);
  EXPECT_LT(SystemClock{}.boot() - start, 5s);
  EXPECT_EQ(attached.error().code(), Errc::cni);
  EXPECT_THAT(attached.error().to_string(), HasSubstr("did not finish within 500ms"));
  EXPECT_EQ(count_entries(network.dir.path() / "run/netns"), 0U);
}

TEST(CniAttachments, AFailedDeleteStaysRecordedAndCanBeRepeated) {
  FaultyNetwork network{
      "sed -n 's/.*\"prevResult\"://; s/}$//; p' <stdin.ADD >/dev/null; echo "
      "'{\"cniVersion\":\"1.0.0\",\"ips\":[{\"address\":\"10.189.0.9/16\"}]}'",
      kFails};
  ASSERT_TRUE(network.attachments->attach("web-1"));
  const auto failed = network.attachments->detach("web-1");
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().to_string(), HasSubstr("detach web-1 from the network"));
  EXPECT_EQ(count_entries(network.dir.path() / "state/network/attachments"), 1U);
  EXPECT_TRUE(is_netns_pinned(network.dir.path() / "run/netns/web-1"))
      << "kept for the DEL that is still owed";
  network.behave(kNothing, kNothing);
  EXPECT_TRUE(network.attachments->detach("web-1"));
  EXPECT_EQ(count_entries(network.dir.path() / "state/network/attachments"), 0U);
  EXPECT_FALSE(is_netns_pinned(network.dir.path() / "run/netns/web-1"));
}

TEST(CniAttachments, TheFirewallPluginIsUsedWhereForwardDropsAndItsRulesGoWithTheInstance) {
  sh({"iptables", "-P", "FORWARD", "DROP"});
  Network network;
  network.attach("web-1");
  EXPECT_THAT(sh({"iptables", "-S"}), HasSubstr("10.189."));
  sh({"iptables", "-P", "FORWARD", "ACCEPT"});
  EXPECT_TRUE(network.attachments->detach("web-1")) << "by the list it was attached with";
  EXPECT_THAT(sh({"iptables", "-S"}), Not(HasSubstr("10.189.")));
  sh({"iptables", "-F"});
  sh({"iptables", "-X"});
}

TEST(CniAttachments, AttachingIsFastEnoughToMeasure) {
  Network network;
  constexpr int kTimes = 5;
  auto start = SystemClock{}.boot();
  for (int i = 0; i < kTimes; ++i) network.attach(fmt::format("web-{}", i));
  const auto attach =
      std::chrono::duration<double, std::milli>(SystemClock{}.boot() - start).count() / kTimes;
  start = SystemClock{}.boot();
  for (int i = 0; i < kTimes; ++i)
    ASSERT_TRUE(network.attachments->detach(fmt::format("web-{}", i)));
  const auto detach =
      std::chrono::duration<double, std::milli>(SystemClock{}.boot() - start).count() / kTimes;
  fmt::print("attach {:.1f} ms, detach {:.1f} ms\n", attach, detach);
  EXPECT_LT(attach, 5000);
}

}  // namespace
}  // namespace holdfast::deploy::network
