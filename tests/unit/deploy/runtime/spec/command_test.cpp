#include "deploy/runtime/spec/command.hpp"

#include <gmock/gmock.h>
#include <signal.h>

#include "deploy/runtime/spec/capabilities.hpp"

namespace holdfast::deploy::runtime {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

proto::Service service() {
  const auto digest = proto::Digest::of("x");
  return {.image = {.host = {}, .repository = {}, .tag = {}, .digest = digest},
          .run_hash = digest,
          .policy_hash = digest};
}

TEST(Env, KeepsTheOrderOfTheImageAndTheLastValueOfAName) {
  proto::oci::ImageConfig image;
  image.env = {"B=1", "A=1", "AB=1", "A=2"};
  auto wanted = service();
  wanted.env = {{"B", "3"}, {"C", "4"}};
  EXPECT_THAT(*merged_env(wanted, image, {}, "host"),
              ElementsAre("B=3", "A=2", "AB=1", "C=4", "HOSTNAME=host",
                          HasSubstr("PATH=/usr/local/sbin"), "HOME=/"));
}

TEST(Args, TheDocumentReplacesEntrypointAndCommandByTheRulesOfImages) {
  proto::oci::ImageConfig image;
  image.entrypoint = {"/entry"};
  image.command = {"cmd"};
  auto wanted = service();
  EXPECT_THAT(*merged_args(wanted, image), ElementsAre("/entry", "cmd"));
  wanted.command = {"mine"};
  EXPECT_THAT(*merged_args(wanted, image), ElementsAre("/entry", "mine"));
  wanted.command.reset();
  wanted.entrypoint = {"/other"};
  EXPECT_THAT(*merged_args(wanted, image), ElementsAre("/other"));
  wanted.command = {"mine"};
  EXPECT_THAT(*merged_args(wanted, image), ElementsAre("/other", "mine"));
  wanted.command = std::vector<std::string>{};
  wanted.entrypoint = std::vector<std::string>{};
  const auto nothing = merged_args(wanted, image);
  ASSERT_FALSE(nothing);
  EXPECT_THAT(nothing.error().next_step(), HasSubstr("command"));
}

TEST(Args, AnInitComesBeforeAllOthers) {
  proto::oci::ImageConfig image;
  image.entrypoint = {"/entry"};
  auto wanted = service();
  wanted.command = {"--flag"};
  wanted.init = true;
  EXPECT_THAT(*merged_args(wanted, image), ElementsAre(kInitPath, "--", "/entry", "--flag"));
}

TEST(Env, TheLaterValueOfANameWinsInThePlaceOfTheFirst) {
  proto::oci::ImageConfig image;
  image.env = {"A=1", "B=2", "A=3", "EMPTY="};
  auto wanted = service();
  wanted.env = {{"B", "x"}, {"HOME", "/h"}};
  EXPECT_THAT(*merged_env(wanted, image, {}, {}),
              ElementsAre("A=3", "B=x", "EMPTY=", "HOME=/h", ::testing::StartsWith("PATH=")));
}

TEST(Env, HomeIsThatOfThePasswdEntryOnlyWhenUnset) {
  EXPECT_THAT(*merged_env(service(), {}, {.home = "/home/app"}, {}), Contains("HOME=/home/app"));
  EXPECT_THAT(*merged_env(service(), {}, {}, {}), Contains("HOME=/"));
}

TEST(Env, HostnameIsTheNameOfTheServiceUnlessSet) {
  EXPECT_THAT(*merged_env(service(), {}, {}, "web"), Contains("HOSTNAME=web"));
  auto wanted = service();
  wanted.env = {{"HOSTNAME", "other"}};
  EXPECT_THAT(*merged_env(wanted, {}, {}, "web"), Contains("HOSTNAME=other"));
  EXPECT_THAT(*merged_env(wanted, {}, {}, "web"), ::testing::Not(Contains("HOSTNAME=web")));
}

TEST(Signals, AreNamesNumbersAndOffsetsOfTheRealTimeOnes) {
  EXPECT_EQ(*parse_signal("SIGTERM"), SIGTERM);
  EXPECT_EQ(*parse_signal("QUIT"), SIGQUIT);
  EXPECT_EQ(*parse_signal("9"), 9);
  EXPECT_EQ(*parse_signal("SIGRTMIN"), 34);
  EXPECT_EQ(*parse_signal("SIGRTMIN+3"), 37);
  EXPECT_EQ(*parse_signal("RTMAX-1"), 63);
  for (const char* bad :
       {"", "SIGNOPE", "0", "65", "SIGRTMIN+31", "SIGRTMAX+1", "SIGRTMIN-1", "-15"})
    EXPECT_FALSE(parse_signal(bad)) << bad;
}

TEST(Signals, TheDocumentsComeBeforeTheImages) {
  proto::oci::ImageConfig image;
  auto wanted = service();
  EXPECT_EQ(*stop_signal(wanted, image), SIGTERM);
  image.stop_signal = "SIGQUIT";
  EXPECT_EQ(*stop_signal(wanted, image), SIGQUIT);
  wanted.stop.signal = "SIGINT";
  EXPECT_EQ(*stop_signal(wanted, image), SIGINT);
}

TEST(Capabilities, AreNoneOrPodmansElevenAndAnUnknownNameGetsASuggestion) {
  EXPECT_EQ(*capabilities({}, 0), Capabilities{});
  const std::vector<std::string> added{"CAP_CHOWN", "CAP_NET_RAW"};
  const proto::Security adding{.cap_add = {"NET_RAW", "CHOWN"}};
  EXPECT_EQ(*capabilities(adding, 0), (Capabilities{.bounding = added, .ambient = {}}));
  EXPECT_EQ(*capabilities(adding, 10001), (Capabilities{.bounding = added, .ambient = added}));
  const auto compatible =
      capabilities({.profile = proto::Profile::compatible, .cap_add = {"NET_RAW"}}, 10001);
  EXPECT_EQ(compatible->bounding.size(), 12U);
  EXPECT_THAT(compatible->ambient, ElementsAre("CAP_NET_RAW"));
  EXPECT_EQ(compatible->effective(0).size(), 12U);
  EXPECT_EQ(compatible->effective(10001).size(), 1U);
  const auto unknown = capabilities({.cap_add = {"NET_ADMINN"}}, 0);
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().next_step(), HasSubstr("NET_ADMIN"));
  EXPECT_EQ(capability_mask({"CAP_CHOWN", "CAP_NET_RAW", "CAP_CHECKPOINT_RESTORE"}),
            0x10000002001U);
}

}  // namespace
}  // namespace holdfast::deploy::runtime
