// What the engine keeps of a command in an instance: who, what, and how it ended, and nothing else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/os/file.hpp"
#include "tests/support/fake_ports.hpp"
#include "tests/support/memory_ledger.hpp"
#include "tests/support/shop.hpp"

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;
using deploy::requests::ExecRecord;
using proto::EntryKind;

class ExecRecords : public ::testing::Test {
 protected:
  void SetUp() override {
    agent_ = std::make_unique<Agent>(host_, ledger_, 5, Milliseconds{30'000}, dir_.path());
    agent_->run(1ms);
    ASSERT_TRUE(
        agent_->apply(shop_of(web("1.0.0", {kPublished, "update: {soak: 2s, deadline: 10s}"}))));
    agent_->run(15s);
    ASSERT_EQ(agent_->snapshot()->status.state.text(), "converged");
  }
  auto record(EntryKind kind, std::map<std::string, std::string> detail) {
    return agent_->core().commands().services.record_exec(
        ExecRecord{kind, "web", std::move(detail)},
        deploy::requests::Actor{"alice (uid 1000)", proto::api::Role::deploy});
  }

  os::TempDir dir_ = os::TempDir::create("/tmp", "holdfast-exec").value();
  FakeHost host_;
  MemoryLedger ledger_;
  std::unique_ptr<Agent> agent_;
};

TEST_F(ExecRecords, AreEntriesAndChangeNothing) {
  const auto before = agent_->snapshot()->status;
  const auto first = ledger_.entries(0, 1'000).value().size();
  ASSERT_TRUE(record(EntryKind::exec_started, {{"command", "sh"}, {"instance", "web-1"}}));
  ASSERT_TRUE(record(EntryKind::exec_ended, {{"exit_code", "3"}, {"instance", "web-1"}}));
  agent_->run(60s);
  const auto entries = ledger_.entries(0, 1'000).value();
  ASSERT_EQ(entries.size(), first + 2);
  const auto& began = entries[first].entry;
  EXPECT_EQ(began.kind, EntryKind::exec_started);
  EXPECT_EQ(began.actor, "alice (uid 1000)");
  EXPECT_EQ(began.service, "web");
  EXPECT_EQ(began.generation, 1U);
  EXPECT_EQ(began.detail.at("command"), "sh");
  EXPECT_EQ(entries[first + 1].entry.detail.at("exit_code"), "3");
  const auto after = agent_->snapshot()->status;
  EXPECT_EQ(after.state.text(), before.state.text());
  EXPECT_EQ(after.services.front().instance, before.services.front().instance);
  EXPECT_TRUE(after.drift.empty());
}

/// What nobody could look up afterwards does not begin.
TEST_F(ExecRecords, WithoutARecordNoneBegins) {
  ledger_.fault = Error{Errc::io, "fdatasync ledger.db: Input/output error"};
  const auto refused = record(EntryKind::exec_started, {{"command", "sh"}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::io);
  EXPECT_FALSE(refused.error().next_step().empty());
}

}  // namespace
}  // namespace holdfast::test
