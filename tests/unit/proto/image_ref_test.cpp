#include "proto/image_ref.hpp"

#include <gtest/gtest.h>

#include <string>

namespace holdfast::proto {
namespace {

const std::string kPin = "@sha256:" + std::string(64, 'b');

struct Good {
  std::string text;
  std::string host;
  std::string repository;
  std::string tag;
};

TEST(ImageRef, SplitsHostRepositoryAndTag) {
  const Good cases[] = {
      {"nginx", "docker.io", "library/nginx", ""},
      {"nginx:1.24", "docker.io", "library/nginx", "1.24"},
      {"docker.io/nginx", "docker.io", "library/nginx", ""},
      {"index.docker.io/nginx", "docker.io", "library/nginx", ""},
      {"docker.io/library/nginx", "docker.io", "library/nginx", ""},
      {"team/web", "docker.io", "team/web", ""},
      {"registry.example.com/shop/web:1.8.2", "registry.example.com", "shop/web", "1.8.2"},
      {"registry.example.com:5000/web", "registry.example.com:5000", "web", ""},
      {"localhost/web", "localhost", "web", ""},
      {"localhost:5000/web:v1", "localhost:5000", "web", "v1"},
      {"127.0.0.1:5000/a/b/c_d__e-f--g.h:T_a.g-1", "127.0.0.1:5000", "a/b/c_d__e-f--g.h",
       "T_a.g-1"},
      {"[::1]:5000/web", "[::1]:5000", "web", ""},
      {"[fe80::1]/web", "[fe80::1]", "web", ""},
      {"Registry/web", "Registry", "web", ""},
      {"foo.bar:5000", "docker.io", "library/foo.bar", "5000"},
      {"a---b/c", "docker.io", "a---b/c", ""},
  };
  for (const auto& c : cases) {
    const auto ref = ImageRef::parse(c.text + kPin);
    ASSERT_TRUE(ref) << c.text << ": " << ref.error().to_string();
    EXPECT_EQ(ref->host, c.host) << c.text;
    EXPECT_EQ(ref->repository, c.repository) << c.text;
    EXPECT_EQ(ref->tag, c.tag) << c.text;
    EXPECT_EQ(ref->digest.hex(), std::string(64, 'b'));
    const auto again = ImageRef::parse(ref->str());
    ASSERT_TRUE(again) << ref->str();
    EXPECT_EQ(*again, *ref);
  }
}

TEST(ImageRef, CanonicalTextHasHostTagAndDigest) {
  const auto ref = ImageRef::parse("nginx:1.24" + kPin);
  ASSERT_TRUE(ref);
  EXPECT_EQ(ref->str(), "docker.io/library/nginx:1.24" + kPin);
  EXPECT_EQ(ref->name(), "docker.io/library/nginx");
}

TEST(ImageRef, RefusesWhatTheGrammarForbids) {
  const std::string bad[] = {"",
                             "/web",
                             "web/",
                             "a///b",
                             "a//b",
                             "a/B",
                             "reg.io/-web",
                             "reg.io/web-",
                             "reg.io/web.",
                             "reg.io/.web",
                             "reg.io/w..b",
                             "reg.io/w___b",
                             "reg.io/w._b",
                             "reg.io/we b",
                             "reg.io/web:",
                             "reg.io/web:-tag",
                             "reg.io/web:.tag",
                             "reg.io/web:" + std::string(129, 't'),
                             "reg.io/web:a:b",
                             "https://reg.io/web",
                             "docker://reg.io/web",
                             "reg_x.io/web",
                             "reg.io:0/web",
                             "reg.io:99999/web",
                             "reg.io:port/web",
                             "reg.io:/web",
                             "-reg.io/web",
                             "reg-.io/web",
                             "reg..io/web",
                             "[::1/web",
                             "[::ffff:1.2.3.4]/web",
                             "[fe80::1%eth0]/web",
                             "[::1]x/web",
                             "[]/web",
                             "reg.io/../etc",
                             "../etc/passwd",
                             "reg.io/w\xc3\xa9",
                             std::string("reg.io/w\0b", 10),
                             std::string(64, 'a'),
                             "reg.io/" + std::string(249, 'a'),
                             std::string(2000, 'a')};
  for (const auto& text : bad) {
    const auto ref = ImageRef::parse(text + kPin);
    ASSERT_FALSE(ref) << text;
    EXPECT_EQ(ref.error().code(), Errc::ref_invalid) << text;
  }
}

TEST(ImageRef, SaysHowToPinAnUnpinnedImage) {
  const auto ref = ImageRef::parse("reg.io/shop/web:1.8.2");
  ASSERT_FALSE(ref);
  EXPECT_EQ(ref.error().code(), Errc::ref_invalid);
  EXPECT_NE(ref.error().what().find("not pinned"), std::string::npos);
  EXPECT_NE(ref.error().next_step().find("reg.io/shop/web:1.8.2@sha256:"), std::string::npos);
  EXPECT_NE(ref.error().next_step().find("skopeo inspect --format '{{.Digest}}'"),
            std::string::npos);
}

TEST(ImageRef, PassesOnWhatIsWrongWithTheDigest) {
  EXPECT_EQ(ImageRef::parse("reg.io/web@sha512:" + std::string(128, 'a')).error().code(),
            Errc::digest_unsupported);
  EXPECT_EQ(ImageRef::parse("reg.io/web@sha256:abc").error().code(), Errc::ref_invalid);
  EXPECT_EQ(ImageRef::parse("reg.io/web@").error().code(), Errc::ref_invalid);
  EXPECT_EQ(ImageRef::parse("reg.io/web" + kPin + kPin).error().code(), Errc::ref_invalid);
}

TEST(ImageRef, LimitsHostAndNameTogetherTo255) {
  const std::string longest = "reg.io/" + std::string(248, 'a');
  EXPECT_TRUE(ImageRef::parse(longest + ":t" + kPin));
  EXPECT_FALSE(ImageRef::parse(longest + "a:t" + kPin));
}

}  // namespace
}  // namespace holdfast::proto
