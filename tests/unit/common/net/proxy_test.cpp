#include "common/net/proxy.hpp"

#include <gtest/gtest.h>

namespace holdfast::net {
namespace {

const Proxy kBoth{"http://plain:3128", "http://tls:3128", {}};

TEST(Proxy, IsChosenByTheSchemeOfWhatIsAskedFor) {
  EXPECT_EQ(proxy_for(kBoth, "http://registry.example.com/v2/"), "http://plain:3128");
  EXPECT_EQ(proxy_for(kBoth, "https://registry.example.com/v2/"), "http://tls:3128");
  EXPECT_EQ(proxy_for({}, "https://registry.example.com/v2/"), "");
  EXPECT_EQ(proxy_for(kBoth, "not a url"), "");
}

TEST(Proxy, IsLeftOutForHostsDomainsAndNetworks) {
  struct Case {
    const char* rule;
    const char* url;
    bool direct;
  };
  const Case cases[] = {
      {"*", "https://a.b/", true},
      {"registry.example.com", "https://registry.example.com:5000/", true},
      {"registry.example.com", "https://REGISTRY.example.com/", true},
      {"example.com", "https://registry.example.com/", true},
      {".example.com", "https://registry.example.com/", true},
      {".example.com", "https://example.com/", true},
      {"example.com", "https://notexample.com/", false},
      {"10.0.0.0/8", "https://10.9.8.7/", true},
      {"10.0.0.0/8", "https://11.0.0.1/", false},
      {"10.0.0.0/8", "https://ten.example.com/", false},
      {"10.0.0.0/99", "https://10.9.8.7/", false},
      {"::1", "https://[::1]:5000/", true},
      {"", "https://example.com/", false},
      {".", "https://example.com/", false},
  };
  for (const auto& each : cases) {
    auto proxy = kBoth;
    proxy.except = {"other.example.org", each.rule};
    EXPECT_EQ(proxy_for(proxy, each.url).empty(), each.direct) << each.rule << " " << each.url;
  }
}

TEST(Proxy, KnowsWhereAnAddressLies) {
  EXPECT_EQ(reach_of_literal("169.254.169.254"), Reach::link_local);
  EXPECT_EQ(reach_of_literal("::1"), Reach::loopback);
  EXPECT_EQ(reach_of_literal("8.8.8.8"), Reach::public_);
  EXPECT_FALSE(reach_of_literal("example.com"));
}

}  // namespace
}  // namespace holdfast::net
