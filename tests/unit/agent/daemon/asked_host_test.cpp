// What the field Host may say, so that no page in a browser reads what is not its own.
#include "agent/daemon/asked_host.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace holdfast::agent::daemon {
namespace {

bool asked(std::string_view host) {
  static const std::vector<std::string> names{"localhost", "Web1.example.com", "web1"};
  return is_asked_for(host, names);
}

TEST(AskedHost, AnAddressIsAlwaysThisHost) {
  for (const auto* host : {"127.0.0.1", "127.0.0.1:9472", "10.1.2.3:80", "[::1]", "[::1]:9472",
                           "[fe80::1]:9472", "127.0.0.1:"})
    EXPECT_TRUE(asked(host)) << host;
}

TEST(AskedHost, OfNamesOnlyThoseThatAreKnownWhateverTheirCase) {
  for (const auto* host :
       {"localhost", "LOCALHOST:9472", "web1", "web1.example.com:9472", "WEB1.EXAMPLE.COM."})
    EXPECT_TRUE(asked(host)) << host;
  for (const auto* host : {"example.com", "web1.example.com.evil.net", "evil.net", "web2",
                           "localhost.evil.net", "127.0.0.1.evil.net", "127.0.0.1.nip.io:9472"})
    EXPECT_FALSE(asked(host)) << host;
}

TEST(AskedHost, WhatIsNoHostIsNotThisOne) {
  for (const auto* host : {"", ":", ".", ":9472", "localhost:port", "localhost:99999", "[::1", "[]",
                           "[localhost]", "[::1]x", "[::1]:x", "user@localhost", "localhost/x",
                           "127.0.0.1:80:80", "localhost localhost", "0x7f000001", "127.1"})
    EXPECT_FALSE(asked(host)) << host;
}

}  // namespace
}  // namespace holdfast::agent::daemon
