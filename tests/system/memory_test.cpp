// What slow and greedy clients may take of the agent's memory: as other users, so these tests need
// root.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/api/codec.hpp"
#include "tests/support/daemon_fixture.hpp"

namespace holdfast {
namespace {

using test::RawClient;
using ::testing::HasSubstr;

constexpr const char* kObserve = "users";  ///< a group that every Debian has
constexpr std::uint64_t kMost = 20U << 20;

class Memory : public test::DaemonTest {
 protected:
  void SetUp() override {
    DaemonTest::SetUp();
    ASSERT_EQ(geteuid(), 0U) << "becoming other users needs root: run the tests through tests/run";
    config_.groups = {{"observe", kObserve}};
    start();
    ASSERT_EQ(::chmod(dir().c_str(), 0755), 0);
    ASSERT_EQ(get("/v1/status").status, 200);
    before_ = test::most_memory_of(pid());
  }

  /// Only who connects counts, so this process is another user just for that.
  RawClient as(uid_t uid) {
    const auto gid = getgrnam(kObserve)->gr_gid;
    EXPECT_EQ(::setgroups(1, &gid), 0);
    EXPECT_EQ(::seteuid(uid), 0);
    auto client = RawClient::over_socket(socket());
    EXPECT_EQ(::seteuid(0), 0);
    EXPECT_EQ(::setgroups(0, nullptr), 0);
    EXPECT_TRUE(client.connected());
    return client;
  }
  static std::string post(std::string_view target, std::size_t length, std::string_view body) {
    return fmt::format("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{}", target,
                       length, body);
  }
  [[nodiscard]] std::uint64_t grown() const { return test::most_memory_of(pid()) - before_; }

  std::uint64_t before_ = 0;
};

TEST_F(Memory, OnlyWhereADocumentIsSentABodyMayBeLarge) {
  const std::string spaces(100'000, ' ');
  const auto reply = request("POST", "/v1/hold", spaces + R"({"reason":"x"})");
  EXPECT_EQ(reply.status, 413);
  EXPECT_THAT(reply.body, HasSubstr("64.0 KiB"));
  EXPECT_EQ(request("POST", "/v1/plan", spaces + test::apply_body("one")).status, 200);
  EXPECT_EQ(request("POST", "/v1/hold", spaces.substr(0, 60'000) + R"({"reason":"x"})").status,
            200);
}

TEST_F(Memory, BodiesThatDoNotEndTakeABoundedShareAndTheNextIsToldSo) {
  const std::string part(2'000'000, 'a');
  std::vector<RawClient> clients;
  for (int i = 0; i < 80; ++i) {
    clients.push_back(as(static_cast<uid_t>(20'000 + i % 4)));
    clients.back().send(post("/v1/plan", part.size() + 1, part));
  }
  const auto refused = test::parse_reply(clients.back().read_all());
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(proto::api::decode<proto::api::ErrorBody>(refused.body)->code, "E_BUSY");
  EXPECT_THAT(refused.body, HasSubstr("try again"));
  EXPECT_LT(grown(), kMost);
  // Root finds room for the same, and others for what is small.
  EXPECT_EQ(request("POST", "/v1/plan", std::string(1'500'000, ' ') + test::apply_body("x")).status,
            200);
  const auto small = as(20'000);
  small.send("GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(test::parse_reply(small.read_all()).status, 200);
  clients.clear();
  EXPECT_TRUE(eventually([&] {
    const auto again = as(20'000);
    again.send(post("/v1/plan", 1'000'000 + test::apply_body("y").size(),
                    std::string(1'000'000, ' ') + test::apply_body("y")));
    return test::parse_reply(again.read_all()).status == 200;
  }));
}

TEST_F(Memory, AnswersThatAreNotReadTakeABoundedShare) {
  for (int i = 0; i < 200; ++i)
    ASSERT_EQ(request("POST", "/v1/apply",
                      test::apply_body(fmt::format("{}", i), std::string(900, '\x01')))
                  .status,
              202);
  const auto page = get("/v1/ledger/entries?limit=1000");
  ASSERT_GT(page.body.size(), 900U << 10);
  const auto ask = [this](uid_t uid) {
    auto client = as(uid);
    client.send("GET /v1/ledger/entries?limit=1000 HTTP/1.1\r\nHost: x\r\n\r\n");
    return client;
  };
  std::vector<RawClient> clients;
  for (uid_t i = 0; i < 80; ++i) clients.push_back(ask(20'000 + i % 4));
  EXPECT_EQ(get("/v1/ledger/entries?limit=1000").status, 200) << "root";
  EXPECT_LT(grown(), kMost);
  const auto asked = std::chrono::steady_clock::now();
  EXPECT_TRUE(eventually([&] { return test::parse_reply(ask(30'000).read_all()).status == 200; }))
      << "who finds no room finds it soon";
  EXPECT_LT(std::chrono::steady_clock::now() - asked, std::chrono::seconds{10});
  std::size_t refused = 0;
  for (auto& client : clients)
    if (client.read_all().find("no memory is left") != std::string::npos) ++refused;
  EXPECT_GT(refused, 0U);
}

TEST_F(Memory, APageOfLongEntriesIsAShorterOneAndNoneIsLeftOut) {
  for (int i = 0; i < 200; ++i)
    ASSERT_EQ(
        request("POST", "/v1/apply", test::apply_body(fmt::format("{}", i), std::string(900, 'x')))
            .status,
        202);
  std::uint64_t after = 0;
  std::size_t pages = 0;
  for (;; ++pages) {
    const auto body = get(fmt::format("/v1/ledger/entries?limit=1000&after={}", after)).body;
    EXPECT_LT(body.size(), 320U << 10);  // 256 KiB, and what JSON adds
    const auto page = proto::api::decode<std::vector<proto::api::LedgerEntry>>(body);
    ASSERT_TRUE(page);
    if (page->empty()) break;
    for (const auto& entry : *page) ASSERT_EQ(entry.number, ++after);
  }
  EXPECT_GT(pages, 1U);
  EXPECT_EQ(proto::api::decode<proto::api::LedgerHead>(get("/v1/ledger/head").body)->number, after);
}

}  // namespace
}  // namespace holdfast
