#include "deploy/runtime/spec/seccomp.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <random>
#include <set>

namespace holdfast::deploy::runtime {
namespace {

bool matches(const std::vector<MaskedArg>& rules, std::uint32_t value) {
  return std::any_of(rules.begin(), rules.end(),
                     [&](const auto& rule) { return (value & rule.mask) == rule.value; });
}

/// How the profile answers a call whose first argument is `value`: 0 allowed, else errno.
int answer(const SeccompProfile& profile, const std::string& call, std::uint32_t value) {
  for (const auto& rule : profile.rules) {
    if (std::find(rule.names.begin(), rule.names.end(), call) == rule.names.end()) continue;
    if (!rule.arg || (value & rule.arg->mask) == rule.arg->value) return rule.error.value_or(0);
  }
  return profile.default_error;
}

TEST(Seccomp, AllButMatchesExactlyTheValuesThatAreNotAllowed) {
  const std::array<std::uint32_t, 5> allowed{1, 2, 10, 16, 17};
  const auto rules = all_but(0, allowed);
  EXPECT_LT(rules.size(), 64U);
  std::mt19937 random{42};  // NOLINT: fixed seed
  for (std::uint32_t value = 0; value < 5000; ++value)
    ASSERT_EQ(matches(rules, value),
              std::find(allowed.begin(), allowed.end(), value) == allowed.end())
        << value;
  for (int i = 0; i < 5000; ++i) {
    const auto value = static_cast<std::uint32_t>(random());
    ASSERT_EQ(matches(rules, value),
              std::find(allowed.begin(), allowed.end(), value) == allowed.end())
        << value;
  }
}

TEST(Seccomp, AllButNothingIsOneRuleForEverything) {
  EXPECT_EQ(all_but(2, {}), (std::vector<MaskedArg>{{.index = 2, .mask = 0, .value = 0}}));
}

TEST(Seccomp, NoCallIsBothAllowedAndForbiddenWithoutAnArgument) {
  for (const auto& granted : std::vector<std::vector<std::string>>{
           {}, {"CAP_SYS_ADMIN"}, {"CAP_BPF", "CAP_SYS_PTRACE"}}) {
    std::multiset<std::string> names;
    for (const auto& rule : seccomp_profile(granted).rules)
      if (!rule.arg) names.insert(rule.names.begin(), rule.names.end());
    for (const auto& name : names) EXPECT_EQ(names.count(name), 1U) << name;
  }
}

TEST(Seccomp, CapabilitiesOpenTheCallsTheyAreFor) {
  const auto none = seccomp_profile({});
  EXPECT_EQ(answer(none, "mount", 0), EPERM);
  EXPECT_EQ(answer(none, "bpf", 0), EPERM);
  EXPECT_EQ(answer(none, "clone3", 0), ENOSYS);
  EXPECT_EQ(answer(none, "clone", 0x10000000), ENOSYS);
  EXPECT_EQ(answer(none, "clone", 0x3D0F00), 0);
  EXPECT_EQ(answer(none, "io_uring_setup", 0), ENOSYS);
  const auto admin = seccomp_profile({"CAP_SYS_ADMIN"});
  for (const char* call : {"mount", "bpf", "clone3", "unshare", "setns"})
    EXPECT_EQ(answer(admin, call, 0x10000000), 0) << call;
  EXPECT_EQ(answer(seccomp_profile({"CAP_BPF"}), "bpf", 0), 0);
  EXPECT_EQ(answer(seccomp_profile({"CAP_SYS_CHROOT"}), "chroot", 0), 0);
}

TEST(Seccomp, EveryComparisonIsMaskedToTheBitsTheKernelLooksAt) {
  for (const auto& rule : seccomp_profile({}).rules)
    if (rule.arg) {
      EXPECT_EQ(rule.arg->value & ~rule.arg->mask, 0U);
    }
}

}  // namespace
}  // namespace holdfast::deploy::runtime
