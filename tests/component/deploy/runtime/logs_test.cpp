#include "deploy/runtime/logs/logs.hpp"

#include <csignal>

#include "deploy/runtime/host/log_writer.hpp"
#include "deploy/runtime/logs/log_reader.hpp"
#include "tests/component/deploy/runtime/fixture.hpp"

namespace holdfast::test {
namespace {

using rt::InstanceId;
using ::testing::ElementsAre;

class Logs : public RuntimeTest {
 protected:
  std::vector<std::string> read(const rt::LogQuery& query) {
    std::vector<std::string> out;
    const rt::LogReader reader{paths().logs()};
    const auto done = reader.read(query,
                                  [&](const rt::LogLine& line) {
                                    out.push_back(line.text);
                                    return true;
                                  },
                                  {});
    EXPECT_TRUE(done) << (done ? "" : done.error().to_string());
    return out;
  }
  [[nodiscard]] fs::path log() const {
    return paths().log(proto::ServiceName{"web"}, InstanceId{"web-1"});
  }
  [[nodiscard]] std::uint64_t bytes_of_logs() const {
    std::uint64_t sum = 0;
    std::error_code bad;
    for (const auto& entry : fs::directory_iterator{log().parent_path(), bad}) {
      struct stat info {};
      if (::stat(entry.path().c_str(), &info) == 0) sum += static_cast<std::uint64_t>(info.st_size);
    }
    return sum;
  }
  static rt::LogQuery all() {
    return {
        .service = proto::ServiceName{"web"}, .since = {}, .tail = {}, .follow = rt::Follow::no};
  }
};

TEST_F(Logs, LinesOfBothStreamsComeBackWithTheirOrigin) {
  (void)script("web-1", "echo out; echo err >&2; printf unfinished");
  std::vector<rt::LogLine> lines;
  ASSERT_TRUE(rt::LogReader{paths().logs()}.read(all(),
                                                 [&](const rt::LogLine& line) {
                                                   lines.push_back(line);
                                                   return true;
                                                 },
                                                 {}));
  std::sort(lines.begin(), lines.end(),
            [](const auto& a, const auto& b) { return a.text < b.text; });
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[0].text, "err");
  EXPECT_TRUE(lines[0].is_stderr);
  EXPECT_EQ(lines[1].text, "out");
  EXPECT_FALSE(lines[1].is_stderr);
  EXPECT_EQ(lines[2].text, "unfinished");
  EXPECT_TRUE(lines[2].partial);
  EXPECT_EQ(lines[0].instance.str(), "web-1");
  EXPECT_LT(clock_.wall() - lines[0].time, std::chrono::seconds{30});
}

TEST_F(Logs, ARotationLosesNoLineWithinTheBound) {
  log_max_size_ = Bytes{1'000'000};
  reopen();
  constexpr int kLines = 20'000;  // 1.0 MB with the heads of the lines: into the second file
  create(
      spec("web-1", a_service({"/bin/sh", "-c",
                               fmt::format("seq 1 {}; sleep 1; echo end; sleep 1000", kLines)})));
  std::jthread follower;
  std::vector<std::string> followed;
  std::atomic<bool> ended{false};
  follower = std::jthread{[&](const std::stop_token& stop) {
    auto query = all();
    query.follow = rt::Follow::yes;
    (void)rt::LogReader{paths().logs()}.read(
        query,
        [&](const rt::LogLine& line) {
          followed.push_back(line.text);
          return line.text != "end";
        },
        stop);
    ended = true;
  }};
  ASSERT_TRUE(eventually([&] { return ended.load(); }));
  follower.join();
  EXPECT_TRUE(fs::exists(log().string() + ".1"));
  const auto lines = read(all());
  ASSERT_EQ(lines.size(), static_cast<std::size_t>(kLines) + 1);
  EXPECT_EQ(followed, lines);
  for (int i = 0; i < kLines; ++i)
    ASSERT_EQ(lines[static_cast<std::size_t>(i)], std::to_string(i + 1));
}

TEST_F(Logs, AtAnyRateAndWithoutAnAgentNoMoreThanTheBoundIsOnTheDisk) {
  log_max_size_ = Bytes{1'000'000};
  reopen();
  constexpr const char* kFlood = "seq 1 3000000; echo end; sleep 1000";  // 160 MB of log
  create(spec("web-1", a_service({"/bin/sh", "-c", kFlood})));
  runtime_.reset();  // nobody looks
  std::uint64_t most = 0;
  const auto deadline = clock_.boot() + std::chrono::seconds{60};
  std::string last;
  while (last.find(" end") == std::string::npos && clock_.boot() < deadline) {
    most = std::max(most, bytes_of_logs());
    last = slurp(log());
    last = last.substr(last.size() - std::min<std::size_t>(last.size(), 100));
  }
  ASSERT_NE(last.find(" end"), std::string::npos) << last;
  EXPECT_LE(most, 2'000'000U);
  reopen();
  const auto lines = read(all());
  // The newest are there without a gap: at least one full file of them.
  constexpr std::size_t kLeast = 1'000'000 / 60;
  ASSERT_GT(lines.size(), kLeast);
  for (std::size_t i = 0; i + 1 < lines.size(); ++i)
    ASSERT_EQ(lines[i], std::to_string(3'000'000 - (lines.size() - 2) + i));
  EXPECT_GT(rt::dropped_bytes(paths().bundle(InstanceId{"web-1"})), 100'000'000U);
}

TEST_F(Logs, WhatTheBoundTakesAwayIsCountedByService) {
  log_max_size_ = Bytes{10'000};
  reopen();
  create(spec("web-1", a_service({"/bin/sh", "-c", "while :; do seq 1 1000; sleep 0.02; done"})));
  ASSERT_TRUE(runtime_->maintain_logs());
  ASSERT_TRUE(eventually([&] {
    EXPECT_TRUE(runtime_->maintain_logs());
    return runtime_->dropped_log_bytes()["web"] > 100'000;
  }));
  EXPECT_LE(bytes_of_logs(), 21'000U);
}

TEST_F(Logs, AWriterThatWasKilledIsReplacedAndTheServiceGoesOn) {
  create(spec("web-1", a_service({"/bin/sh", "-c", "while :; do echo line; sleep 0.01; done"})));
  const auto writers = rt::find_log_writers(paths().bundle(InstanceId{"web-1"}));
  ASSERT_EQ(writers.size(), 1U);
  ASSERT_EQ(kill(writers[0].pid, SIGKILL), 0);
  ASSERT_TRUE(eventually([&] { return gone(writers[0].pid); }));
  os::sleep_until(clock_.boot() + Milliseconds{100}, {});
  ASSERT_TRUE(runtime_->maintain_logs());
  const auto before = bytes_of_logs();
  EXPECT_TRUE(eventually([&] { return bytes_of_logs() > before; }));
  EXPECT_EQ(see("web-1").state, rt::InstanceState::running);
  EXPECT_EQ(rt::find_log_writers(paths().bundle(InstanceId{"web-1"})).size(), 1U);
}

TEST_F(Logs, AFullDiskTakesTheOlderHalfAndNeverTheService) {
  const auto small = root() / "state/logs";
  ASSERT_EQ(::mount("tmpfs", small.c_str(), "tmpfs", 0, "size=1m"), 0);
  create(spec("web-1",
              a_service({"/bin/sh", "-c", "seq 1 200000; echo end > /tmp/done; sleep 1000"})));
  EXPECT_TRUE(eventually([&] {
    const auto told =
        runtime_->exec(InstanceId{"web-1"}, {"/bin/cat", "/tmp/done"}, Milliseconds{5000}, {});
    return told && told->code == 0;
  }));
  EXPECT_GT(rt::dropped_bytes(paths().bundle(InstanceId{"web-1"})), 1'000'000U);
  ASSERT_TRUE(runtime_->remove(InstanceId{"web-1"}, {}));
  EXPECT_EQ(::umount2(small.c_str(), 0), 0);
}

TEST_F(Logs, NoWriterOutlivesItsInstance) {
  (void)script("web-1", "echo 1");
  ASSERT_TRUE(runtime_->restart(InstanceId{"web-1"}, {}));
  ASSERT_TRUE(runtime_->remove(InstanceId{"web-1"}, {}));
  EXPECT_TRUE(rt::find_log_writers(paths().bundle(InstanceId{"web-1"})).empty());
}

TEST_F(Logs, LogsOfRemovedInstancesLeaveRoomForTheBoundOfTheService) {
  log_max_size_ = Bytes{1'000'000};
  reopen();
  for (const char* id : {"web-1", "web-2", "web-3"}) {
    (void)script(id, "seq 1 100000");
    ASSERT_TRUE(runtime_->remove(InstanceId{id}, {}));
  }
  EXPECT_LE(bytes_of_logs(), 2'000'000U + 2 * (64U << 10));
  for (const char* id : {"web-1", "web-2", "web-3"}) {
    const auto path = paths().log(proto::ServiceName{"web"}, InstanceId{id});
    EXPECT_THAT(slurp(path), ::testing::EndsWith(" 100000\n")) << "the newest lines stay";
    EXPECT_TRUE(rt::parse_log_line(slurp(path).substr(0, slurp(path).find('\n'))))
        << "from the beginning of a line";
  }
}

TEST_F(Logs, TailAndSinceAndSeveralInstancesComeInOrderOfTime) {
  (void)script("web-1", "echo 1; sleep 0.05; echo 2");
  const auto between = clock_.wall();
  os::sleep_until(clock_.boot() + Milliseconds{5}, {});
  (void)script("web-2", "echo 3; sleep 0.05; echo 4");
  EXPECT_THAT(read(all()), ElementsAre("1", "2", "3", "4"));
  auto tail = all();
  tail.tail = 3;
  EXPECT_THAT(read(tail), ElementsAre("2", "3", "4"));
  auto since = all();
  since.since = between;
  EXPECT_THAT(read(since), ElementsAre("3", "4"));
}

TEST_F(Logs, TheLogOfARemovedInstanceStaysReadableAndOldOnesGo) {
  for (const char* id : {"web-1", "web-2", "web-3", "web-4", "web-5"}) {
    (void)script(id, fmt::format("echo {}", id));
    ASSERT_TRUE(runtime_->remove(InstanceId{id}, {}));
  }
  for (const char* id : {"web-3", "web-4", "web-5"}) {
    const timespec at[2] = {{1'700'000'000 + id[4] * 1000, 0}, {1'700'000'000 + id[4] * 1000, 0}};
    utimensat(AT_FDCWD, paths().log(proto::ServiceName{"web"}, InstanceId{id}).c_str(), at, 0);
  }
  ASSERT_TRUE(rt::prune_logs(
      paths(), {.total = Bytes{20U << 20}, .now = WallTime{std::chrono::seconds{1'700'100'000}}}));
  EXPECT_THAT(read(all()), ElementsAre("web-3", "web-4", "web-5"));
  fs::create_directories(paths().kept(InstanceId{"web-5"}));  // there again
  ASSERT_TRUE(rt::prune_logs(
      paths(), {.total = Bytes{20U << 20}, .now = WallTime{std::chrono::seconds{1'800'000'000}}}));
  EXPECT_THAT(read(all()), ElementsAre("web-5"));
}

TEST_F(Logs, AServiceThatNeverWroteIsNotFound) {
  const auto done = rt::LogReader{paths().logs()}.read(
      {.service = proto::ServiceName{"absent"}, .since = {}, .tail = {}, .follow = rt::Follow::no},
      [](const rt::LogLine&) { return true; }, {});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), Errc::not_found);
}

}  // namespace
}  // namespace holdfast::test
