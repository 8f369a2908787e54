// Registries that are slower than a dead line. In a file of its own: the limits are half a minute.
#include <chrono>
#include <thread>

#include "tests/component/deploy/image/lab.hpp"

namespace holdfast::test {
namespace {

using std::chrono::seconds;

class SlowPeers : public LabTest {
 protected:
  TestStore store_{lab()};
};

// F-44, F-45: the limits are half a minute, so both run at once.
TEST_F(SlowPeers, AreGivenUpAndDisturbNobody) {
  const BootTime begin = store_.clock.boot();
  std::optional<Error> headers;
  std::optional<Error> body;
  std::stop_source stop;
  {
    std::jthread first{[&] {
      const auto pulled = store_.pull(lab().ref("gzip", "slow-headers"), stop.get_token());
      if (!pulled) headers = pulled.error();
    }};
    std::jthread second{[&] {
      const auto pulled = store_.pull(lab().ref("big", "slow-body"), stop.get_token());
      EXPECT_TRUE(pulled) << pulled.error().to_string();
      body = pulled ? std::nullopt : std::optional{pulled.error()};
    }};
    const auto other = store_.pull(lab().ref("zstd"));
    EXPECT_TRUE(other) << other.error().to_string();
    EXPECT_LT(store_.clock.boot() - begin, seconds{10}) << "others wait for nobody";
    second.join();
    EXPECT_GE(store_.clock.boot() - begin, seconds{25}) << "it was slow for a while";
    EXPECT_LT(store_.clock.boot() - begin, seconds{50}) << "then it went on by Range";
    // A server that never finishes its headers is asked again; one try takes half a minute.
    (void)os::sleep_until(begin + seconds{45}, {});
    stop.request_stop();
  }
  ASSERT_TRUE(headers);
  EXPECT_NE(lab().hits().find("\"slow-headers-again\": 1"), std::string::npos)
      << "given up within 45 s: " << lab().hits();
}

}  // namespace
}  // namespace holdfast::test
