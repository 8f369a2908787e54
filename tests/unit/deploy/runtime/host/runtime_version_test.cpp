#include "deploy/runtime/host/runtime_version.hpp"

#include <gmock/gmock.h>

namespace holdfast::deploy::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(AVersion, IsComparedByItsNumbers) {
  EXPECT_EQ(runtime_version("runc 1.1.5+ds1"), (RuntimeVersion{1, 1, 5}));
  EXPECT_EQ(runtime_version("crun 1.14"), (RuntimeVersion{1, 14, 0}));
  EXPECT_EQ(runtime_version("runc version 1.3.0-rc.1"), (RuntimeVersion{1, 3, 0}));
  EXPECT_EQ(runtime_version("2"), (RuntimeVersion{2, 0, 0}));
  EXPECT_EQ(runtime_version("1.2.3.4"), (RuntimeVersion{1, 2, 3}));
  EXPECT_EQ(runtime_version("runc"), std::nullopt);
  EXPECT_EQ(runtime_version(""), std::nullopt);
  EXPECT_LT(*runtime_version("crun 1.9"), *runtime_version("crun 1.14")) << "not as texts";
}

TEST(KnownVulnerabilities, AreThoseThatTheLineOfTheVersionHasNotMended) {
  EXPECT_THAT(known_vulnerabilities("runc 1.1.5+ds1"), SizeIs(5));
  EXPECT_THAT(known_vulnerabilities("runc 1.1.5+ds1").front(),
              HasSubstr("CVE-2024-21626 (mended in 1.1.12)"));
  EXPECT_THAT(known_vulnerabilities("runc 1.1.12"), SizeIs(4)) << "1.1 never got the later ones";
  EXPECT_THAT(known_vulnerabilities("runc 1.2.7"), SizeIs(4));
  EXPECT_THAT(known_vulnerabilities("runc 1.2.8"), ElementsAre(HasSubstr("CVE-2026-41579")));
  EXPECT_THAT(known_vulnerabilities("runc 1.3.5"), ElementsAre(HasSubstr("CVE-2026-41579")));
  EXPECT_THAT(known_vulnerabilities("runc 1.3.6"), IsEmpty());
  EXPECT_THAT(known_vulnerabilities("runc 1.4.3"), IsEmpty());
  EXPECT_THAT(known_vulnerabilities("runc 1.5.0"), IsEmpty());
  EXPECT_THAT(known_vulnerabilities("runc 2.0.0"), IsEmpty());
  EXPECT_THAT(known_vulnerabilities("crun 1.8.1"), IsEmpty()) << "another program";
  EXPECT_THAT(known_vulnerabilities("runc, some build"), IsEmpty());
}

}  // namespace
}  // namespace holdfast::deploy::runtime
