#include "deploy/runtime/observe/inspection.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast::deploy::runtime {
namespace {

constexpr std::string_view kTable =
    "400 390 0:42 / / ro,relatime master:1 - overlay overlay ro,lowerdir=a:b\n"
    "401 400 0:50 / /tmp rw,nosuid - tmpfs tmpfs rw,size=65536k\n"
    "402 400 254:0 /v /data\\040x rw,nosuid shared:7 - ext4 /dev/vda rw\n";

TEST(MountLines, LeaveOutWhatDiffersBetweenTwoLooksAtTheSameMounts) {
  constexpr std::string_view kAgain =
      "900 890 0:42 / / ro,relatime master:9 - overlay overlay ro,lowerdir=a:b\n"
      "901 900 0:50 / /tmp rw,nosuid - tmpfs tmpfs rw,size=65536k\n"
      "902 900 254:0 /v /data\\040x rw,nosuid - ext4 /dev/vda rw\n";
  EXPECT_EQ(mount_lines(kTable), mount_lines(kAgain));
  EXPECT_EQ(mount_changes(mount_lines(kTable), mount_lines(kAgain)), "");
}

TEST(MountLines, PassOverWhatIsNoLineOfATable) {
  EXPECT_TRUE(mount_lines("").empty());
  EXPECT_TRUE(mount_lines("1 2 3\nnonsense - x\n\n").empty());
}

TEST(NextTurns, GoAroundSoThatEachComesUp) {
  const auto ids = [](std::initializer_list<const char*> names) {
    std::vector<plan::InstanceId> out;
    for (const auto* name : names) out.emplace_back(name);
    return out;
  };
  const auto all = ids({"a", "b", "c", "d", "e"});
  EXPECT_EQ(next_turns(all, plan::InstanceId{}, 2), ids({"a", "b"}));
  EXPECT_EQ(next_turns(all, plan::InstanceId{"b"}, 2), ids({"c", "d"}));
  EXPECT_EQ(next_turns(all, plan::InstanceId{"d"}, 2), ids({"e", "a"}));
  EXPECT_EQ(next_turns(all, plan::InstanceId{"bb"}, 1), ids({"c"})) << "the last one is gone";
  EXPECT_EQ(next_turns(all, plan::InstanceId{"e"}, 9), all) << "each once";
  EXPECT_TRUE(next_turns({}, plan::InstanceId{"a"}, 2).empty());
}

TEST(MountChanges, SayWhatWasMountedUnmountedAndChanged) {
  const auto before = mount_lines(kTable);
  auto after = before;
  after.push_back("/ /srv rw,relatime tmpfs none rw");
  EXPECT_EQ(mount_changes(before, after), "mounted /srv (tmpfs)");
  EXPECT_EQ(mount_changes(after, before), "unmounted /srv");
  after = before;
  after[1] = "/ /tmp rw tmpfs tmpfs rw,size=65536k";
  EXPECT_EQ(mount_changes(before, after), "changed /tmp");
  after = before;
  after.push_back(before[1]);
  EXPECT_EQ(mount_changes(before, after), "mounted /tmp (tmpfs)") << "twice the same counts twice";
}

TEST(MountChanges, NameAFewAndCountTheRestAndPrintNothingRaw) {
  std::vector<std::string> after;
  for (int i = 0; i < 6; ++i) after.push_back("/ /m" + std::to_string(i) + " rw tmpfs none rw");
  EXPECT_EQ(mount_changes({}, after),
            "mounted /m0 (tmpfs), mounted /m1 (tmpfs), mounted /m2 (tmpfs) and 3 more");
  EXPECT_EQ(mount_changes({}, {"/ /\x1b[2J rw tmpfs none rw"}), "mounted /\\x1b[2J (tmpfs)");
}

TEST(LocalAddress, IsFoundOnlyAsOneOfTheNamespaceItself) {
  constexpr std::string_view kTrie =
      "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n"
      "        |-- 10.89.0.5\n           /32 host LOCAL\n"
      "        |-- 10.89.0.1\n           /32 link UNICAST\n"
      "        |-- 10.89.0.55\n           /32 host LOCAL\n";
  EXPECT_TRUE(has_local_address(kTrie, 0x0A590005));
  EXPECT_FALSE(has_local_address(kTrie, 0x0A590001)) << "a neighbour";
  EXPECT_FALSE(has_local_address(kTrie, 0x0A590006));
  EXPECT_FALSE(has_local_address("", 0x0A590005));
}

}  // namespace
}  // namespace holdfast::deploy::runtime
